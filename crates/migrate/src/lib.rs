//! The migration phases, from preflight to retire; nothing is served from here yet.
