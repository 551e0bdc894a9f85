//! The declaration of every setting and variable. A setting is added here, and in the module that uses its value.
//!
//! Reading, error messages, `mnemon.default.toml` and `docs/settings.md` follow from it. `just settings` writes the two files.

use std::time::Duration;

use jiff::Span;

use super::setting::{Setting, SettingType, Variable, settings};

settings! {
    "Store" {
        /// Where memories are kept: `sqlite:PATH`, or in Qdrant `qdrant:http://HOST:6334/COLLECTION` with the gRPC port.
        /// A relative path starts in the working directory; `~/` is your home directory. `https://` uses TLS. Several nodes
        /// of a cluster are given as `qdrant:http://A:6334,B:6334/COLLECTION`.
        store: Option<String> = None, flag: "--store", example: "sqlite:~/memories.db",
            unset: "`mnemon/mnemon.db` in your data directory";

        variables {
            /// Host or URL of Qdrant in an environment for mem0's server: without `store`, memories are kept there.
            /// `mnemon migrate` reads it as the source.
            QDRANT_HOST, flag: "--qdrant-host";
            /// REST port that belongs to `QDRANT_HOST`; 6333 if not set.
            QDRANT_PORT, flag: "--qdrant-port";
            /// gRPC port that belongs to `QDRANT_HOST`; the REST port + 1 if not set.
            QDRANT_GRPC_PORT, flag: "--qdrant-grpc-port";
            /// Collection that belongs to `QDRANT_HOST`; `mem0` if not set.
            QDRANT_COLLECTION_NAME, flag: "--source";
        }
    }
    "Embedder" {
        /// Model that turns text into vectors. `builtin` is part of the binary. `minilm` is all-MiniLM-L6-v2 on this machine,
        /// in `models/all-MiniLM-L6-v2` of mnemon's folder in your data directory, or in FOLDER with `minilm:FOLDER`; `mnemon
        /// models pull minilm` downloads it. `openai:MODEL` is a model behind an OpenAI-compatible `/embeddings`,
        /// `ollama:MODEL` a model of Ollama. A store keeps the embedder that it was created with until `mnemon reembed`.
        embedder: String = "builtin".into(), flag: "--embedder";

        /// Base URL of the embedder's service.
        embedder_url: Option<String> = None, example: "http://localhost:11434/v1",
            unset: "`OPENAI_BASE_URL` or `OLLAMA_BASE_URL`, else the URL of the provider";

        /// Length of the model's vectors; 0 for a model that mnemon knows, such as text-embedding-3-small. Another length is
        /// requested from text-embedding-3-* only.
        embedder_dims: u32 = 0, unit: "dims";

        /// Timeout of one attempt; a request with its retries takes at most twice as long.
        embedder_timeout: Duration = Duration::from_secs(25);

        /// Additional HTTP headers of requests to the embedder, as a JSON object of strings. The key of an Azure endpoint is
        /// sent as `api-key` without this setting.
        embedder_headers: String = String::new(), secret: true, unset: "none";

        /// Maximum number of texts in one request, from 1 to 2048. A service that refuses so many is sent fewer without this
        /// setting.
        embedder_batch_texts: u32 = 128, unit: "texts";

        /// Maximum number of characters that are embedded as one piece, at least 100. The vector of a longer text is the mean
        /// of the vectors of its pieces; so is that of a text that the service refuses for its length.
        embedder_max_chars: u32 = 24_000, unit: "characters";

        /// Source of `mnemon models pull` without `--from`: files are downloaded from URL/OWNER/MODEL/resolve/main/.
        models_url: Option<String> = None, example: "https://models.example.com";
    }
    "Language model and reranker" {
        /// Language model that extracts facts and answers `/chat`: `openai:MODEL` for any OpenAI-compatible endpoint (also
        /// Claude behind a gateway), `anthropic:MODEL` or `ollama:MODEL`. With `none`, the built-in rules extract facts, and
        /// `/chat` is not available.
        llm: String = "none".into();

        /// Base URL of the language model.
        llm_url: Option<String> = None, example: "http://localhost:4000/v1",
            unset: "`OPENAI_BASE_URL`, `ANTHROPIC_BASE_URL` or `OLLAMA_BASE_URL`, else the URL of the provider";

        /// Sampling temperature, from 0 to 2; not sent if it is not set or if the endpoint rejects it.
        llm_temperature: Option<f64> = None, example: "0.1";

        /// Nucleus sampling, from 0 to 1; not sent if it is not set or if the endpoint rejects it.
        llm_top_p: Option<f64> = None, example: "0.9";

        /// Most tokens of an answer; 0 for no limit. An answer that is cut off is continued with another request.
        llm_max_tokens: u32 = 0, unit: "tokens";

        /// Timeout of one attempt; a request with its retries takes at most a third longer. In a server, `request_timeout`
        /// must be longer.
        llm_timeout: Duration = Duration::from_secs(40);

        /// Additional keys of the request body, as a JSON object such as `{"reasoning_effort": "low"}`.
        llm_extra: String = String::new(), secret: true, unset: "none";

        /// Additional HTTP headers, as a JSON object of strings.
        llm_headers: String = String::new(), secret: true, unset: "none";

        /// Instructions for every extraction, unless a request has its own.
        llm_instructions: String = String::new(), unset: "none";

        /// Reranker of searches that ask for one: `none`, `llm`, or `http:MODEL`, a cross-encoder behind `/rerank` at
        /// `reranker_url`.
        reranker: String = "none".into();

        /// Base URL of the reranker's service.
        reranker_url: Option<String> = None, example: "http://localhost:8080/v1";

        variables {
            /// API key of the language model. If it is not set, the provider's key below applies.
            LLM_API_KEY;
            /// API key of `openai:MODEL`: of the embedder, and of the language model without `LLM_API_KEY`.
            OPENAI_API_KEY;
            /// API key of `anthropic:MODEL`.
            ANTHROPIC_API_KEY;
            /// API key of `ollama:MODEL`.
            OLLAMA_API_KEY;
            /// Base URL of `openai:MODEL` if `embedder_url` or `llm_url` is not set.
            OPENAI_BASE_URL;
            /// Base URL of `anthropic:MODEL` if `llm_url` is not set.
            ANTHROPIC_BASE_URL;
            /// Base URL of `ollama:MODEL` if `embedder_url` or `llm_url` is not set.
            OLLAMA_BASE_URL;
            /// API key of the reranker's service.
            RERANKER_API_KEY;
        }
    }
    "Store in Qdrant" {
        /// Ledger of a store in Qdrant: history, links and pending writes. A file suits one server; several servers on one
        /// collection share `postgres://USER:PASSWORD@HOST/DATABASE`.
        ledger: Option<String> = None, example: "sqlite:~/ledger.db", secret: true, unset: "a file in your data directory";

        /// Timeout of a request to Qdrant.
        qdrant_timeout: Duration = Duration::from_secs(10);

        /// Retries of a request that Qdrant did not answer.
        qdrant_retries: u32 = 2, unit: "retries";

        /// Shards of a new collection; 0 leaves the choice to Qdrant. This and the next four do not change a collection that
        /// exists.
        qdrant_shards: u32 = 0, unit: "shards";

        /// Copies of each shard of a new collection; 0 leaves the choice to Qdrant.
        qdrant_replication_factor: u32 = 0, unit: "copies";

        /// Copies that must confirm a write to a new collection; 0 leaves the choice to Qdrant.
        qdrant_write_consistency_factor: u32 = 0, unit: "copies";

        /// Whether a new collection keeps its vectors on disk.
        qdrant_on_disk: bool = false;

        /// Quantization of the vectors of a new collection: `none`, `scalar` or `binary`.
        qdrant_quantization: String = "none".into();

        variables {
            /// API key of Qdrant.
            QDRANT_API_KEY;
        }
    }
    "Scope and sessions" {
        /// User of commands without `--user`.
        user: Option<String> = None, flag: "--user", example: "ana", unset: "none";

        /// Agent of commands without `--agent`.
        agent: Option<String> = None, flag: "--agent", example: "planner", unset: "none";

        /// Run of commands without `--run`.
        run: Option<String> = None, flag: "--run", example: "run-1", unset: "none";

        /// Memory for the indexes of scopes, in MiB. The scope in use is kept even if it is larger.
        cache_mb: u32 = 512, unit: "MiB";

        /// A message that comes this much later than the message before it starts a new session, unless its session is given.
        session_gap: Span = Span::new().minutes(30);
    }
    "Server" {
        /// Address on which `mnemon serve` listens.
        bind: String = "127.0.0.1:8000".into(), flag: "--bind";

        /// Authentication, `on` or `off`. `off` gives everyone full access.
        auth: String = "on".into(), flag: "--auth";

        /// File for the first admin's key, which `mnemon serve` creates if there is no key. A terminal shows the key instead.
        first_key_file: Option<String> = None, example: "/run/mnemon/first-key", unset: "beside the store";

        /// Requests per minute for a user (all keys together) or an admin's key, and the size of a burst; 0 for no limit.
        rate_limit: u32 = 0, unit: "requests per minute";

        /// Origins of web pages that may call the server, separated by commas: `https://app.example.com`.
        cors_origins: String = String::new(), unset: "none";

        /// Proxies whose headers name the client and the URL of a request: addresses, networks such as `10.0.0.0/8`,
        /// `loopback` (this machine) or `private` (private networks), separated by commas; `none` for none.
        trusted_proxies: String = "loopback".into();

        /// Largest request body, in MiB.
        max_body_mb: u32 = 8, unit: "MiB";

        /// Timeout of a request.
        request_timeout: Duration = Duration::from_secs(60);

        /// Time that accepted requests have to finish after the server was asked to stop.
        shutdown_grace: Duration = Duration::from_secs(30);

        /// Log format on stderr: `text` or `json`.
        log_format: String = "text".into();

        variables {
            /// API keys of users, as a JSON object `{"KEY": "USER"}`; `mnemon keys create` is another way.
            API_KEYS;
            /// API key of an admin.
            ADMIN_API_KEY;
        }
    }
    "Command line" {
        variables {
            /// The settings file.
            MNEMON_CONFIG, flag: "--config";
            /// Filter of the log on stderr, such as `debug`; overrides `-v`.
            MNEMON_LOG;
            /// Folder of a migration.
            MNEMON_MIGRATION, flag: "--dir";
            /// API key for `mnemon smoke`, and for the smoke test of `mnemon migrate cutover`.
            MNEMON_API_KEY, flag: "--api-key";
            /// API key for `mnemon smoke` if `MNEMON_API_KEY` is not set.
            MEM0_API_KEY, flag: "--api-key";
            /// URL of a server, for programs that call it; `mnemon` itself does not read it.
            MNEMON_URL;
        }
    }
}

/// The setting with this key.
pub(super) fn find(key: &str) -> Option<&'static Setting<Values>> {
    SETTINGS.iter().find(|setting| setting.key == key)
}
