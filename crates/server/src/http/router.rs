//! The router: all routes, metrics, CORS and the answers to unknown paths and methods.

use axum::Router;
use axum::http::{HeaderValue, Method, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use mnemon_engine::ErrorCode;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;

use super::observe::observe;
use super::openapi::describe;
use crate::auth::authenticate;
use crate::error::Problem;
use crate::service::AppState;

/// The routes of an API.
pub(crate) struct Routes {
    /// Routes that require authentication.
    pub(crate) guarded: OpenApiRouter<AppState>,
    /// Routes that do not.
    pub(crate) public: OpenApiRouter<AppState>,
}

/// The router of a server. It expects paths without a slash at the end.
pub(crate) fn router(app: AppState, routes: Routes) -> Router {
    let authentication = middleware::from_fn_with_state(app.clone(), authenticate);
    let (guarded, mut api) = routes.guarded.layer(authentication).split_for_parts();
    let (public, public_api) = routes.public.split_for_parts();
    api.merge(public_api);
    describe(&mut api);
    let mut router = guarded
        .merge(public)
        .merge(SwaggerUi::new("/docs").url("/openapi.json", api))
        .route("/", get(|| async { Redirect::temporary("/docs/") }))
        .route("/redoc", get(|| async { Redirect::temporary("/docs/") }))
        .fallback(|| async { Problem::not_found("This route does not exist.").hint("GET /docs lists all routes.") })
        .method_not_allowed_fallback(|| async { Problem::new(ErrorCode::MethodNotAllowed, "Method Not Allowed") })
        .layer(CatchPanicLayer::custom(|_| -> Response { Problem::internal().into_response() }));
    if !app.config.cors_origins.is_empty() {
        router = router.layer(cors(&app.config.cors_origins));
    }
    router.layer(middleware::from_fn_with_state(app.clone(), observe)).with_state(app)
}

fn cors(origins: &[String]) -> CorsLayer {
    let origins: Vec<HeaderValue> = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::HeaderName::from_static("x-api-key")])
        .expose_headers([header::HeaderName::from_static("x-request-id"), header::RETRY_AFTER])
        .allow_credentials(true)
}
