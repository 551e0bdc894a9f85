//! All routes with all that wraps them.

use axum::Router;
use axum::http::{HeaderValue, Method, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_swagger_ui::SwaggerUi;

use crate::auth::authenticate;
use crate::error::Problem;
use crate::http::observe::observe;
use crate::service::app::Shared;
use crate::{api, http::openapi};

/// The routes of a server. Paths must come without a slash at the end.
pub(crate) fn router(app: Shared) -> Router {
    let guard = middleware::from_fn_with_state(app.clone(), authenticate);
    let (guarded, mut api) = api::guarded().layer(guard).split_for_parts();
    let (public, public_api) = api::public().split_for_parts();
    api.merge(public_api);
    openapi::describe(&mut api);
    let mut router = guarded
        .merge(public)
        .merge(SwaggerUi::new("/docs").url("/openapi.json", api))
        .route("/", get(|| async { Redirect::temporary("/docs/") }))
        .route("/redoc", get(|| async { Redirect::temporary("/docs/") }))
        .fallback(|| async { Problem::not_found("There is no such route.").hint("GET /docs lists them.") })
        .method_not_allowed_fallback(|| async {
            Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed")
        })
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
