//! The description of the routes, made from their code.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, ResponseBuilder, SecurityRequirement};

use crate::api;

/// OpenAPI of all routes. Every path is also served with a slash at its end.
pub fn openapi() -> OpenApi {
    let mut api = api::guarded().merge(api::public()).into_openapi();
    describe(&mut api);
    api
}

/// Adds what all routes have in common: how to show a key, and how errors look.
pub(crate) fn describe(api: &mut OpenApi) {
    api.info.title = "Mnemon".into();
    api.info.version = env!("CARGO_PKG_VERSION").into();
    api.info.description = Some(
        "Long-term memory for AI agents, compatible with mem0. Every path is also served with a slash at its end."
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
                .description(Some("A key, or a token of /auth/login. `Authorization: Token KEY` is understood too."))
                .build(),
        )
        .into(),
    );
    let errors = [
        ("400", "The request can't be served as it is; the body says why"),
        ("401", "No key, or a wrong one"),
        ("403", "The key does not allow this"),
        ("404", "There is no such thing, or it is somebody else's"),
        ("409", "It contradicts what is there"),
        ("413", "The body is too large"),
        ("422", "A value is not what it must be; `detail` is a list that says where"),
        ("429", "Too many requests; Retry-After says when to try again"),
        ("500", "Something went wrong on the server's side"),
        ("503", "The server is busy or can't do this now"),
        ("507", "The server's disk is full"),
    ];
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
            // The names of handlers repeat from surface to surface; ids must not.
            let words = path.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            operation.operation_id = Some(words.fold(method.to_owned(), |id, word| format!("{id}_{word}")));
            let public = operation.security.is_some();
            if !public {
                let scheme = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
                operation.security = Some(vec![scheme("api_key"), scheme("bearer")]);
            }
            for (status, description) in errors {
                if public
                    && ["401", "403", "429"].contains(&status)
                    && !operation.responses.responses.contains_key(status)
                {
                    continue;
                }
                let body = Content::new(Some(RefOr::Ref(Ref::from_schema_name("ErrorBody"))));
                let response = ResponseBuilder::new().description(description).content("application/json", body);
                operation.responses.responses.entry(status.into()).or_insert_with(|| response.build().into());
            }
        }
    }
}
