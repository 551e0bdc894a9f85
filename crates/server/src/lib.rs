//! HTTP, MCP and their JSON; nothing is served from here yet.
