"""A browser as far as a try needs one: cookies of each host, redirects. Knows neither engine nor compose."""

import http.client
from urllib.parse import urljoin, urlsplit

from engine import PATIENCE, Failed


class Visitor:
    """Every host is the published port `port` of 127.0.0.1, whatever the scheme of its addresses."""

    def __init__(self, port):
        self.port = port
        self.jar = {}

    def ask(self, url, method="GET", body=None, mode="navigate", fields=None):
        parts = urlsplit(url)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        path = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        connection.request(method, path, body, {**self.fields(parts.netloc, mode), **(fields or {})})
        answer = connection.getresponse()
        answer.text = answer.read().decode()
        answer.reason = f"{answer.status} {answer.headers.get('Portway-Reason')}"
        connection.close()
        self.keep(parts.netloc, answer)
        return answer

    def fields(self, host, mode):
        site, dest = ("none", "document") if mode == "navigate" else ("same-origin", "empty")
        fields = {"Host": host, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
        jar = self.jar.get(host)
        if jar:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        return fields

    def keep(self, host, answer):
        jar = self.jar.setdefault(host, {})
        for line in answer.headers.get_all("Set-Cookie", []):
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            jar[name] = value
            if "max-age=0" in attributes.lower():
                del jar[name]

    def open(self, url):
        """Where a navigation ends, and with what."""
        for _ in range(20):
            answer = self.ask(url)
            if answer.status not in (302, 303):
                return url, answer
            url = urljoin(url, answer.headers["Location"])
        raise Failed(f"twenty redirects, the last to {url}")
