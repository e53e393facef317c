//! How dev servers are told to listen on all addresses, by the ports that they usually take.
//!
//! Shown to a person whose server most likely listens on 127.0.0.1 alone. Those in docs/devservers.md were tried, with the
//! versions there; Astro's and Rails' are from their own documentation.

/// One way of starting a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flag {
    pub(super) server: &'static str,
    pub(super) command: String,
    /// The server usually takes the port that is closed.
    pub(super) usual: bool,
}

/// Server, its usual ports, and the command; `PORT` stands for the port asked for.
const SERVERS: [(&str, &[u16], &str); 11] = [
    ("Vite", &[5173, 4173], "vite --host"),
    ("SvelteKit", &[5173, 4173], "vite dev --host"),
    ("Astro", &[4321], "astro dev --host"),
    ("Angular", &[4200], "ng serve --host 0.0.0.0"),
    ("Django", &[8000], "python manage.py runserver 0.0.0.0:PORT"),
    ("FastAPI", &[8000], "fastapi dev --host 0.0.0.0"),
    ("Flask", &[5000], "flask run --host 0.0.0.0"),
    ("Jupyter", &[8888], "jupyter lab --ip 0.0.0.0"),
    ("MCP (Python)", &[8000], "mcp.run(…, host=\"0.0.0.0\")"),
    ("Gradio", &[7860], "GRADIO_SERVER_NAME=0.0.0.0 python app.py"),
    ("Rails", &[3000], "rails server --binding 0.0.0.0"),
];

/// The ways for a closed port, those of its usual servers first.
pub(super) fn for_port(port: u16) -> Vec<Flag> {
    let mut flags: Vec<Flag> = SERVERS
        .iter()
        .map(|(server, ports, command)| Flag {
            server,
            command: command.replace("PORT", &port.to_string()),
            usual: ports.contains(&port),
        })
        .collect();
    flags.sort_by_key(|flag| !flag.usual);
    flags
}

#[cfg(test)]
mod tests {
    use super::for_port;

    #[test]
    fn the_usual_servers_of_a_port_come_first_and_name_it() {
        let flags = for_port(8000);
        let usual: Vec<&str> = flags.iter().take_while(|flag| flag.usual).map(|flag| flag.server).collect();
        assert_eq!(usual, ["Django", "FastAPI", "MCP (Python)"]);
        assert_eq!(flags[0].command, "python manage.py runserver 0.0.0.0:8000");
        assert!(for_port(1234).iter().all(|flag| !flag.usual));
    }
}
