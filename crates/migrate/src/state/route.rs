//! The source and the target of a migration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Refusal, Result};

/// Where a migration reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SourceSpec {
    /// A collection on a running Qdrant.
    Collection {
        /// The gRPC addresses of Qdrant.
        grpc: Vec<String>,
        /// The REST address of Qdrant.
        rest: String,
        /// Its name.
        name: String,
    },
    /// A snapshot file.
    Snapshot {
        /// The file.
        file: PathBuf,
    },
}

/// Where a migration writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TargetSpec {
    /// A SQLite store.
    Sqlite {
        /// Its file.
        file: PathBuf,
    },
    /// A new collection on the Qdrant of the source.
    Collection {
        /// Its name.
        name: String,
    },
    /// The collection of the source itself.
    InPlace,
}

/// The source and the target of a migration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The source.
    #[serde(rename = "from")]
    pub source: SourceSpec,
    /// The target.
    #[serde(rename = "to")]
    pub target: TargetSpec,
}

impl Route {
    /// Refuses the same collection as source and target.
    ///
    /// # Errors
    /// [`MigrateError::Refused`](crate::MigrateError::Refused).
    pub fn check(&self) -> Result<()> {
        match (&self.source, &self.target) {
            (SourceSpec::Collection { name: from, .. }, TargetSpec::Collection { name: to }) if from == to => {
                Err(Refusal::SameCollection(from.clone()).into())
            }
            _ => Ok(()),
        }
    }

    /// Whether the other route is the same, except that one of the server's two addresses may differ.
    pub(super) fn has_same_server(&self, other: &Self) -> bool {
        let (
            SourceSpec::Collection { grpc, rest, name },
            SourceSpec::Collection { grpc: grpc_of, rest: rest_of, name: name_of },
        ) = (&self.source, &other.source)
        else {
            return self == other;
        };
        self.target == other.target && name == name_of && (grpc == grpc_of || rest == rest_of)
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.source {
            SourceSpec::Collection { name, rest, .. } => write!(f, "{rest} `{name}`")?,
            SourceSpec::Snapshot { file } => write!(f, "{}", file.display())?,
        }
        match &self.target {
            TargetSpec::Sqlite { file } => write!(f, " → {}", file.display()),
            TargetSpec::Collection { name } => write!(f, " → `{name}`"),
            TargetSpec::InPlace => write!(f, ", in place"),
        }
    }
}
