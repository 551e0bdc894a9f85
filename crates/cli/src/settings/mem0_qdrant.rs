//! The Qdrant of mem0's server, from its variables `QDRANT_HOST`, `QDRANT_PORT` and `QDRANT_COLLECTION_NAME`, and from
//! `QDRANT_GRPC_PORT`, because mem0 uses REST, mnemon gRPC.

use super::environment::Environment;
use super::location::without_secrets;
use crate::error::CliError;

/// Host, ports and collection, as far as they are given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mem0Qdrant {
    /// A name or an address, perhaps with `http://` or `https://`, without a port.
    pub(crate) host: Option<String>,
    pub(crate) rest_port: Option<u16>,
    pub(crate) grpc_port: Option<u16>,
    pub(crate) collection: Option<String>,
}

/// The addresses of a Qdrant, as `http://host:port`, and a collection of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mem0Collection {
    pub(crate) rest: String,
    pub(crate) grpc: String,
    pub(crate) name: String,
}

impl Mem0Qdrant {
    /// The values of the variables.
    ///
    /// # Errors
    /// A usage error for a port that is not a number.
    pub(crate) fn read(environment: &Environment) -> Result<Self, CliError> {
        let port = |name: &str| -> Result<Option<u16>, CliError> {
            let parse = |text: String| {
                text.parse().map_err(|_| CliError::usage(format!("{name} is `{text}`; give a port number")))
            };
            environment.non_blank(name).map(parse).transpose()
        };
        Ok(Self {
            host: environment.non_blank("QDRANT_HOST"),
            rest_port: port("QDRANT_PORT")?,
            grpc_port: port("QDRANT_GRPC_PORT")?,
            collection: environment.non_blank("QDRANT_COLLECTION_NAME"),
        })
    }

    /// These values, and the other ones where none is given.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            host: self.host.or(other.host),
            rest_port: self.rest_port.or(other.rest_port),
            grpc_port: self.grpc_port.or(other.grpc_port),
            collection: self.collection.or(other.collection),
        }
    }

    /// The collection that the values and the defaults name. The gRPC port is the REST port + 1 by default.
    ///
    /// # Errors
    /// A usage error for a host with a port.
    pub(crate) fn collection(self) -> Result<Mem0Collection, CliError> {
        let host = self.host.unwrap_or_else(|| "localhost".into());
        let (scheme, name) = host.split_once("://").unwrap_or(("http", &host));
        let name = name.trim_end_matches('/');
        let name = match name.matches(':').count() {
            0 => name.to_owned(),
            _ if name.starts_with('[') && name.ends_with(']') => name.to_owned(),
            1 => {
                let message =
                    format!("`{}` contains a port: give it with --qdrant-port or QDRANT_PORT", without_secrets(&host));
                return Err(CliError::usage(message));
            }
            _ => format!("[{name}]"),
        };
        let rest = self.rest_port.unwrap_or(6333);
        let grpc = self.grpc_port.unwrap_or_else(|| rest.saturating_add(1));
        Ok(Mem0Collection {
            rest: format!("{scheme}://{name}:{rest}"),
            grpc: format!("{scheme}://{name}:{grpc}"),
            name: self.collection.unwrap_or_else(|| "mem0".into()),
        })
    }
}
