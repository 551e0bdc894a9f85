//! What the OpenAPI descriptions of all routes have in common: authentication, error answers and operation ids.

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder, SecurityRequirement};

use super::extract::{is_openai, is_platform};

/// An error answer: status, name of the shared response, description.
type ErrorAnswer = (&'static str, &'static str, &'static str);

/// All error answers of the routes.
const ERRORS: [ErrorAnswer; 14] = [
    ("400", "BadRequest", "The request is invalid; the body gives the reason."),
    ("401", "Unauthorized", "The key or token is missing or invalid."),
    ("403", "Forbidden", "The key does not allow this request."),
    ("404", "NotFound", "The resource does not exist, or belongs to another user."),
    ("409", "Conflict", "The memories of the owner were deleted during the request; nothing was stored."),
    ("413", "BodyTooLarge", "The request body is too large."),
    ("415", "UnsupportedEncoding", "The Content-Encoding of the request body is not supported."),
    ("422", "InvalidValue", "A value is invalid; `detail` is a list with the location of each error."),
    ("429", "TooManyRequests", "The rate limit is exceeded; `Retry-After` gives the seconds to wait."),
    ("500", "InternalError", "An internal error occurred; the server's log has the reason."),
    ("501", "NotImplemented", "This feature is not implemented."),
    ("502", "ModelFailed", "A model does not work with its current settings, or its answer cannot be used."),
    (
        "503",
        "Unavailable",
        "The server is busy, the request took too long, the store can only be read, or the store or a model is unavailable.",
    ),
    ("507", "DiskFull", "The disk of the server is full; nothing was stored."),
];

/// The beginning of the names of shared responses in OpenAI's format.
const OPENAI: &str = "OpenAi";

/// Adds what all routes have in common. A route names in its own description only those error answers that do not
/// follow from its path, parameters and body.
pub(crate) fn describe(api: &mut OpenApi) {
    api.info.title = "Mnemon".into();
    api.info.version = env!("CARGO_PKG_VERSION").into();
    api.info.description = Some(
        "Long-term memory for AI agents, compatible with mem0. Every path is also served with a slash at its end. A method \
         that a path does not support is answered with 405 (`method_not_allowed`). Parameters and keys that a route does not have are named in `ignored` of an \
         answer that is an object, and in the header `X-Mnemon-Ignored` of every answer; a deletion of many memories refuses \
         them."
            .into(),
    );
    api.info.license = None;
    api.info.contact = None;
    let components = api.components.get_or_insert_default();
    components.security_schemes.insert(
        "api_key".into(),
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("X-API-Key", "A key."))).into(),
    );
    components.security_schemes.insert(
        "bearer".into(),
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(
                    "A key, or a token from /auth/login. `Authorization: Token KEY` is accepted as well.",
                ))
                .build(),
        )
        .into(),
    );
    for (_, name, description) in ERRORS {
        for (prefix, body) in [("", "ErrorBody"), (OPENAI, "OpenAiErrorBody")] {
            let body = Content::new(Some(RefOr::Ref(Ref::from_schema_name(body))));
            let response = ResponseBuilder::new().description(description).content("application/json", body);
            components.responses.insert(format!("{prefix}{name}"), response.build().into());
        }
    }
    for (path, item) in &mut api.paths.paths {
        let operations = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("put", &mut item.put),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            // Handlers of different surfaces have the same name, but operation ids must be unique.
            let words = path.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            operation.operation_id = Some(words.fold(method.to_owned(), |id, word| format!("{id}_{word}")));
            let is_public = operation.security.is_some();
            if !is_public {
                let scheme = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
                operation.security = Some(vec![scheme("api_key"), scheme("bearer")]);
            }
            add_errors(operation, path, method, is_public);
        }
    }
}

/// Refers to the shared response of each error that the operation may answer, unless the operation describes the error
/// itself.
fn add_errors(operation: &mut Operation, path: &str, method: &str, is_public: bool) {
    let has_parameters = operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty());
    let has_body = operation.request_body.is_some();
    let has_input = has_parameters || has_body;
    let responses = &mut operation.responses.responses;
    for (status, name, _) in ERRORS {
        let implied = match status {
            "400" => has_input,
            "401" | "403" | "429" => !is_public,
            "404" => path.contains('{'),
            "413" | "415" => has_body,
            "422" => has_input && !is_platform(path),
            "500" | "503" => true,
            // Reads with a key write as well: the time of the key's last use.
            "507" => !is_public || method != "get",
            _ => false,
        };
        let named = match responses.get(status) {
            Some(RefOr::T(response)) if response.description.is_empty() => true,
            Some(_) => continue,
            None => false,
        };
        if implied || named {
            let prefix = if is_openai(path) { OPENAI } else { "" };
            responses.insert(status.into(), RefOr::Ref(Ref::from_response_name(format!("{prefix}{name}"))));
        }
    }
}
