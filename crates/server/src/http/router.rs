//! The router: all routes, metrics, CORS and the answers to unknown paths and methods.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Router};
use mnemon_engine::ErrorCode;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use super::extract::MaxBody;
use super::observe::{limit_time, observe};
use super::openapi::describe;
use super::parameters::{check_parameters, operations};
use crate::auth::{authenticate, refuse_pages};
use crate::error::Problem;
use crate::service::AppState;

/// The routes of an API.
pub(crate) struct Routes {
    /// Routes that require authentication.
    pub(crate) guarded: OpenApiRouter<AppState>,
    /// Routes that do not.
    pub(crate) public: OpenApiRouter<AppState>,
}

/// The largest body of a request to a route that requires no authentication, in bytes.
const PUBLIC_BODY: usize = 64 << 10;

/// The router of a server. It expects paths without a slash at the end.
pub(crate) fn router(app: AppState, routes: Routes) -> Router {
    let authentication = middleware::from_fn_with_state(app.clone(), authenticate);
    let mut api = routes.guarded.get_openapi().clone();
    api.merge(routes.public.get_openapi().clone());
    describe(&mut api);
    // Written once: everybody may read it.
    let document = Bytes::from(api.to_json().unwrap_or_default());
    let parameters = middleware::from_fn_with_state(Arc::new(operations(&api)), check_parameters);
    let (guarded, _) = routes.guarded.layer(parameters.clone()).layer(authentication).split_for_parts();
    let (public, _) = routes.public.layer(parameters).layer(Extension(MaxBody(PUBLIC_BODY))).split_for_parts();
    let mut router = guarded
        .merge(public)
        .merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")))
        .route("/openapi.json", get(move || async move { ([(header::CONTENT_TYPE, "application/json")], document) }))
        .route("/", get(|| async { Redirect::temporary("/docs/") }))
        .route("/redoc", get(|| async { Redirect::temporary("/docs/") }))
        .fallback(|| async { Problem::not_found("This route does not exist.").hint("GET /docs lists all routes.") })
        .method_not_allowed_fallback(|| async { Problem::new(ErrorCode::MethodNotAllowed, "Method Not Allowed") })
        .layer(middleware::from_fn_with_state(app.clone(), refuse_pages))
        .layer(CatchPanicLayer::custom(|_| -> Response { Problem::internal().into_response() }))
        .layer(middleware::from_fn_with_state(app.clone(), limit_time));
    if !app.config.cors_origins.is_empty() {
        router = router.layer(cors(&app.config.cors_origins)).layer(middleware::from_fn(only_harmless_headers));
    }
    router.layer(middleware::from_fn_with_state(app.clone(), observe)).with_state(app)
}

/// Headers of answers that clients read, besides those that browsers show to every page.
const EXPOSED: [HeaderName; 8] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-mnemon-ignored"),
    HeaderName::from_static("x-mnemon-note"),
    header::RETRY_AFTER,
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
    header::WWW_AUTHENTICATE,
];

/// Pages of the configured origins may send any header that [`only_harmless_headers`] leaves: clients add further
/// ones, such as `Mem0-User-ID` and `X-Stainless-Lang`.
fn cors(origins: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .allow_credentials(true)
}

/// Headers of proxies that name the client, by their beginning. A page must not send them.
const OF_PROXIES: [&str; 11] = [
    "x-forwarded",
    "forwarded",
    "x-real-",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-",
    "x-rewrite-url",
    "cf-connecting-ip",
    "true-client-ip",
    "proxy-",
    "via",
];

/// Removes the headers of proxies from the list of headers that a page asks to send, so that they are not allowed.
async fn only_harmless_headers(mut request: Request, next: Next) -> Response {
    let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|names| names.to_str().ok());
    if let Some(asked) = asked {
        let is_harmless = |name: &&str| {
            let name = name.to_ascii_lowercase();
            !name.is_empty() && !OF_PROXIES.iter().any(|start| name.starts_with(start))
        };
        let allowed: Vec<&str> = asked.split(',').map(str::trim).filter(is_harmless).collect();
        let allowed = HeaderValue::from_str(&allowed.join(", "));
        if let Ok(allowed) = allowed {
            request.headers_mut().insert(header::ACCESS_CONTROL_REQUEST_HEADERS, allowed);
        }
    }
    next.run(request).await
}
