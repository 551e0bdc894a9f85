//! `/auth` of mem0's server: the administrator's account for a dashboard.

use axum::extract::State;
use jiff::Timestamp;
use mnemon_engine::ErrorCode;
use mnemon_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::dto::{Done, tag};
use crate::auth::{Admin, ClientAddress, LoginRoute, MaybeCaller};
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json};
use crate::service::{Account, Accounts, AppState, MAX_PASSWORD, MIN_PASSWORD, Tokens};

/// The longest name, in characters.
const MAX_NAME: usize = 200;
/// The longest email address, in bytes.
const MAX_EMAIL: usize = 254;
/// The longest use case, in characters.
const MAX_USE_CASE: usize = 2000;

/// Whether the first account must be registered.
#[derive(Serialize, ToSchema)]
pub(crate) struct SetupStatus {
    /// Whether no account exists yet.
    #[serde(rename = "needsSetup")]
    needs_setup: bool,
}

/// Whether the first account must be registered
#[utoipa::path(get, path = "/auth/setup-status", tag = tag::MEM0_SERVER, security(()),
    responses((status = 200, body = SetupStatus)))]
pub(crate) async fn setup_status(State(app): State<AppState>) -> Result<Json<SetupStatus>, Problem> {
    let account = with_accounts(&app, |accounts| accounts.account()).await?;
    Ok(Json(SetupStatus { needs_setup: account.is_none() }))
}

/// Request of `POST /auth/register`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RegisterBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(format = Email)]
    email: String,
    /// At least 8 characters.
    #[schema(min_length = 8, max_length = 1024)]
    password: String,
}

/// The tokens of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokensAnswer {
    /// For `Authorization: Bearer`; valid for 30 minutes.
    access_token: String,
    /// For /auth/refresh; can be used once within 30 days.
    refresh_token: String,
    /// `bearer`
    token_type: &'static str,
}

/// Register the first account
///
/// The account is an administrator's. It requires an admin's key; after the first account it is closed.
#[utoipa::path(post, path = "/auth/register", tag = tag::MEM0_SERVER, security(()),
    request_body = RegisterBody, responses((status = 200, body = TokensAnswer),
    (status = 401, body = ErrorBody, description = "A wrong key"),
    (status = 403, body = ErrorBody, description = "An account exists, or the key is not an admin's"),
    (status = 429, body = ErrorBody, description = "More than 5 attempts per minute")))]
pub(crate) async fn register(
    State(app): State<AppState>,
    from: ClientAddress,
    MaybeCaller(caller): MaybeCaller,
    Body(body): Body<RegisterBody>,
) -> Result<Json<TokensAnswer>, Problem> {
    app.limits.login_attempt(LoginRoute::Register, from)?;
    let closed = || Problem::new(ErrorCode::RegistrationClosed, "Registration is closed: an account exists already.");
    if with_accounts(&app, |accounts| accounts.account()).await?.is_some() {
        return Err(closed());
    }
    if !caller.is_some_and(|caller| caller.is_admin() && caller.access.write) {
        return Err(Problem::new(ErrorCode::AdminRequired, "Registration requires an admin's key.").hint(
            "Send a key of role admin as X-API-Key. The log of the first start names the file of the first one.",
        ));
    }
    let (name, email) = (checked_name(&body.name)?, checked_email(&body.email)?);
    check_password(&body.password)?;
    let tokens = with_accounts(&app, move |accounts| {
        let Some(account) = accounts.register(&name, &email, &body.password)? else { return Ok(None) };
        accounts.tokens(&account).map(Some)
    });
    Ok(Json(tokens.await?.ok_or_else(closed)?.into()))
}

/// Request of `POST /auth/login`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct LoginBody {
    email: String,
    password: String,
}

/// Log in
#[utoipa::path(post, path = "/auth/login", tag = tag::MEM0_SERVER, security(()), request_body = LoginBody,
    responses((status = 200, body = TokensAnswer),
    (status = 401, body = ErrorBody, description = "A wrong email address or password"),
    (status = 429, body = ErrorBody, description = "More than 10 attempts per minute")))]
pub(crate) async fn login(
    State(app): State<AppState>,
    from: ClientAddress,
    Body(body): Body<LoginBody>,
) -> Result<Json<TokensAnswer>, Problem> {
    app.limits.login_attempt(LoginRoute::Login, from)?;
    let tokens = with_accounts(&app, move |accounts| {
        let Some(account) = accounts.log_in(&body.email, &body.password)? else { return Ok(None) };
        accounts.tokens(&account).map(Some)
    });
    Ok(Json(tokens.await?.ok_or_else(|| Problem::wrong_login("Invalid email or password."))?.into()))
}

/// Request of `POST /auth/refresh`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RefreshBody {
    refresh_token: String,
}

/// Get new tokens for a refresh token
///
/// Each refresh token can be used once. If one is used again, all tokens of its login become invalid.
#[utoipa::path(post, path = "/auth/refresh", tag = tag::MEM0_SERVER, security(()), request_body = RefreshBody,
    responses((status = 200, body = TokensAnswer),
    (status = 401, body = ErrorBody, description = "The token is wrong, expired, or already used"),
    (status = 429, body = ErrorBody, description = "More than 20 attempts per minute")))]
pub(crate) async fn refresh(
    State(app): State<AppState>,
    from: ClientAddress,
    Body(body): Body<RefreshBody>,
) -> Result<Json<TokensAnswer>, Problem> {
    app.limits.login_attempt(LoginRoute::Refresh, from)?;
    let tokens = with_accounts(&app, move |accounts| accounts.refresh(&body.refresh_token));
    Ok(Json(tokens.await?.ok_or_else(|| Problem::wrong_login("Invalid refresh token."))?.into()))
}

/// An account.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    id: String,
    name: String,
    email: String,
    /// `admin`
    role: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Account> for Me {
    fn from(account: Account) -> Self {
        Self {
            id: account.id,
            name: account.name,
            email: account.email,
            role: account.role,
            created_at: account.created_at,
        }
    }
}

/// Get the account
///
/// With an admin key this is the first account.
#[utoipa::path(get, path = "/auth/me", tag = tag::MEM0_SERVER,
    responses((status = 200, body = Me), (status = 404, body = ErrorBody)))]
pub(crate) async fn me(State(app): State<AppState>, _: Admin) -> Result<Json<Me>, Problem> {
    let account = with_accounts(&app, |accounts| accounts.account()).await?;
    Ok(Json(account.ok_or_else(no_account)?.into()))
}

/// Request of `PATCH /auth/me`; absent fields stay.
#[derive(Deserialize, ToSchema)]
pub(crate) struct MeBody {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[schema(format = Email)]
    email: Option<String>,
}

/// Change the name or email address of the account
#[utoipa::path(patch, path = "/auth/me", tag = tag::MEM0_SERVER, request_body = MeBody,
    responses((status = 200, body = Me), (status = 404, body = ErrorBody)))]
pub(crate) async fn change_me(
    State(app): State<AppState>,
    _: Admin,
    Body(body): Body<MeBody>,
) -> Result<Json<Me>, Problem> {
    let name = body.name.as_deref().map(checked_name).transpose()?;
    let email = body.email.as_deref().map(checked_email).transpose()?;
    let changed = with_accounts(&app, move |accounts| {
        accounts.change(|account| {
            account.name = name.clone().unwrap_or_else(|| account.name.clone());
            account.email = email.clone().unwrap_or_else(|| account.email.clone());
            true
        })
    });
    Ok(Json(changed.await?.ok_or_else(no_account)?.into()))
}

/// Request of `POST /auth/change-password`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PasswordBody {
    current_password: String,
    /// At least 8 characters.
    #[schema(min_length = 8, max_length = 1024)]
    new_password: String,
}

/// Change the account's password
///
/// All tokens become invalid: log in again.
#[utoipa::path(post, path = "/auth/change-password", tag = tag::MEM0_SERVER, request_body = PasswordBody,
    responses((status = 200, body = Done), (status = 404, body = ErrorBody)))]
pub(crate) async fn change_password(
    State(app): State<AppState>,
    from: ClientAddress,
    _: Admin,
    Body(body): Body<PasswordBody>,
) -> Result<Json<Done>, Problem> {
    // Limits how often someone with a stolen token can guess the password.
    app.limits.login_attempt(LoginRoute::Login, from)?;
    check_password(&body.new_password)?;
    if with_accounts(&app, |accounts| accounts.account()).await?.is_none() {
        return Err(no_account());
    }
    let changed =
        with_accounts(&app, move |accounts| accounts.change_password(&body.current_password, &body.new_password));
    if changed.await? {
        Ok(Json(Done::new("Password updated.")))
    } else {
        Err(Problem::wrong_login("Current password is incorrect."))
    }
}

/// Request of `POST /auth/onboarding-complete`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct OnboardingBody {
    /// What the server is used for; at most 2000 characters.
    #[schema(max_length = 2000)]
    use_case: Option<String>,
}

/// Record that the dashboard's onboarding is complete
#[utoipa::path(post, path = "/auth/onboarding-complete", tag = tag::MEM0_SERVER, request_body = OnboardingBody,
    responses((status = 200, body = Done), (status = 404, body = ErrorBody)))]
pub(crate) async fn onboarding_complete(
    State(app): State<AppState>,
    _: Admin,
    Body(body): Body<OnboardingBody>,
) -> Result<Json<Done>, Problem> {
    let use_case = body.use_case.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if use_case.as_ref().is_some_and(|text| text.chars().count() > MAX_USE_CASE) {
        return Err(Problem::bad_request(format!("use_case has more than {MAX_USE_CASE} characters")));
    }
    let changed = with_accounts(&app, move |accounts| {
        accounts.change(|account| {
            account.use_case.clone_from(&use_case);
            true
        })
    });
    changed.await?.ok_or_else(no_account)?;
    Ok(Json(Done::new("Onboarding completed.")))
}

impl From<Tokens> for TokensAnswer {
    fn from(tokens: Tokens) -> Self {
        Self { access_token: tokens.access, refresh_token: tokens.refresh, token_type: "bearer" }
    }
}

async fn with_accounts<T: Send + 'static>(
    app: &AppState,
    work: impl FnOnce(&Accounts) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let accounts = app.accounts.clone();
    Ok(app.blocking(move || work(&accounts)).await??)
}

fn no_account() -> Problem {
    Problem::not_found("No account is registered.").hint("POST /auth/register registers the first account.")
}

fn checked_name(name: &str) -> Result<String, Problem> {
    let name = name.trim();
    match name.chars().count() {
        1..=MAX_NAME => Ok(name.to_owned()),
        _ => Err(Problem::bad_request(format!("The name must have 1 to {MAX_NAME} characters."))),
    }
}

/// Refuses only what cannot be an email address.
fn checked_email(email: &str) -> Result<String, Problem> {
    let email = email.trim();
    let is_part = |part: &str| {
        !part.is_empty() && !part.contains(|char: char| char.is_whitespace() || char.is_control() || char == '@')
    };
    let is_valid = email.rsplit_once('@').is_some_and(|(name, host)| {
        is_part(name) && is_part(host) && !host.split('.').any(str::is_empty) && email.len() <= MAX_EMAIL
    });
    if is_valid { Ok(email.to_owned()) } else { Err(Problem::bad_request("The email is not a valid address.")) }
}

fn check_password(password: &str) -> Result<(), Problem> {
    if password.chars().count() < MIN_PASSWORD {
        return Err(Problem::bad_request(format!("The password must have at least {MIN_PASSWORD} characters.")));
    }
    if password.len() > MAX_PASSWORD {
        return Err(Problem::bad_request(format!("The password must have at most {MAX_PASSWORD} bytes.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_email_addresses_are_refused() {
        for good in ["ana@example.org", " a+b@x.io ", "admin@localhost", "\"a\"@x"] {
            assert!(checked_email(good).is_ok(), "{good}");
        }
        let long = format!("{}@x.io", "a".repeat(250));
        for bad in ["", "ana", "@", "a@", "@x", "a b@x", "a@b@c", "a@x..io", "a@.io", "a@x.", "a@x\n.io", long.as_str()]
        {
            assert!(checked_email(bad).is_err(), "{bad}");
        }
    }
}
