# What somebody who writes an MCP server has: one tool, over streamable HTTP.
from mcp.server import MCPServer

mcp = MCPServer("Hello from MCP")


@mcp.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


if __name__ == "__main__":
    mcp.run("streamable-http")
