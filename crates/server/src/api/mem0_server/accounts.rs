//! `/auth` of mem0's server: the account of whoever administers it through a dashboard.

use axum::extract::State;
use jiff::Timestamp;
use mnemon_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::dto::Done;
use crate::auth::{Admin, Door, Near, Peer, Visitor};
use crate::error::{ErrorBody, Problem};
use crate::http::extract::{Body, Json};
use crate::service::accounts::{Account, Accounts, MAX_PASSWORD, MIN_PASSWORD};
use crate::service::app::Shared;

const TAG: &str = "mem0 server";
/// The longest name, in characters.
const MAX_NAME: usize = 200;
/// The longest address, in bytes, that mail knows.
const MAX_EMAIL: usize = 254;
/// The longest use case, in characters.
const MAX_USE_CASE: usize = 2000;

/// Whether somebody must register.
#[derive(Serialize, ToSchema)]
pub(crate) struct SetupStatus {
    /// Whether there is no account yet.
    #[serde(rename = "needsSetup")]
    needs_setup: bool,
}

/// Whether the server has no account yet
#[utoipa::path(get, path = "/auth/setup-status", tag = TAG, security(()),
    responses((status = 200, body = SetupStatus)))]
pub(crate) async fn setup_status(State(app): State<Shared>) -> Result<Json<SetupStatus>, Problem> {
    let account = with_accounts(&app, |accounts| accounts.account()).await?;
    Ok(Json(SetupStatus { needs_setup: account.is_none() }))
}

/// Who registers.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RegisterBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(format = Email)]
    email: String,
    /// 8 characters or more.
    #[schema(min_length = 8, max_length = 1024)]
    password: String,
}

/// Tokens of an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokensAnswer {
    /// For `Authorization: Bearer`; good for 30 minutes.
    access_token: String,
    /// For /auth/refresh, once; good for 30 days.
    refresh_token: String,
    /// `bearer`
    token_type: &'static str,
}

/// Register the first account
///
/// It is an administrator's. Open to everybody only while the server has neither an account nor any key; with keys it
/// takes an admin's, and after the first account it is closed.
#[utoipa::path(post, path = "/auth/register", tag = TAG, security(()),
    request_body = RegisterBody, responses((status = 200, body = TokensAnswer),
    (status = 401, body = ErrorBody, description = "A wrong key"),
    (status = 403, body = ErrorBody, description = "There is an account, or it takes an admin's key"),
    (status = 429, body = ErrorBody, description = "More than 5 tries a minute")))]
pub(crate) async fn register(
    State(app): State<Shared>,
    from: Peer,
    Near(near): Near,
    Visitor(visitor): Visitor,
    Body(body): Body<RegisterBody>,
) -> Result<Json<TokensAnswer>, Problem> {
    app.limits.door(Door::Register, from)?;
    let closed = || Problem::forbidden("registration_closed", "Registration is closed: there is an account.");
    if with_accounts(&app, |accounts| accounts.account()).await?.is_some() {
        return Err(closed());
    }
    let allowed = match visitor {
        Some(caller) => caller.is_admin() && caller.access.write,
        None => {
            let keys = app.keys.clone();
            let fixed = !app.config.keys.is_empty() || app.config.admin_key.is_some();
            let keyless = !fixed && !app.blocking(move || keys.any()).await??;
            if keyless && !near {
                return Err(Problem::forbidden(
                    "admin_required",
                    "The first account is registered from the server's machine.",
                )
                .hint("Or make a key there, `mnemon keys create --admin`, and send it as X-API-Key."));
            }
            keyless
        }
    };
    if !allowed {
        return Err(Problem::forbidden("admin_required", "The server has keys: registering takes an admin's key.")
            .hint("Send ADMIN_API_KEY, or a key of role admin, as X-API-Key."));
    }
    let (name, email) = (checked_name(&body.name)?, checked_email(&body.email)?);
    check_password(&body.password)?;
    let tokens = with_accounts(&app, move |accounts| {
        let Some(account) = accounts.register(&name, &email, &body.password)? else { return Ok(None) };
        accounts.tokens(&account).map(Some)
    });
    Ok(Json(tokens.await?.ok_or_else(closed)?.into()))
}

/// Who logs in.
#[derive(Deserialize, ToSchema)]
pub(crate) struct LoginBody {
    email: String,
    password: String,
}

/// Log in
#[utoipa::path(post, path = "/auth/login", tag = TAG, security(()), request_body = LoginBody,
    responses((status = 200, body = TokensAnswer),
    (status = 401, body = ErrorBody, description = "A wrong address or password"),
    (status = 429, body = ErrorBody, description = "More than 10 tries a minute")))]
pub(crate) async fn login(
    State(app): State<Shared>,
    from: Peer,
    Body(body): Body<LoginBody>,
) -> Result<Json<TokensAnswer>, Problem> {
    app.limits.door(Door::Login, from)?;
    let tokens = with_accounts(&app, move |accounts| {
        let Some(account) = accounts.log_in(&body.email, &body.password)? else { return Ok(None) };
        accounts.tokens(&account).map(Some)
    });
    Ok(Json(tokens.await?.ok_or_else(|| Problem::wrong_login("Invalid email or password."))?.into()))
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
pub(crate) struct RefreshBody {
    refresh_token: String,
}

/// Get new tokens for a refresh token
///
/// Each refresh token is good for once.
#[utoipa::path(post, path = "/auth/refresh", tag = TAG, security(()), request_body = RefreshBody,
    responses((status = 200, body = TokensAnswer),
    (status = 401, body = ErrorBody, description = "The token is wrong, has expired or was used"),
    (status = 429, body = ErrorBody, description = "More than 20 tries a minute")))]
pub(crate) async fn refresh(
    State(app): State<Shared>,
    from: Peer,
    Body(body): Body<RefreshBody>,
) -> Result<Json<TokensAnswer>, Problem> {
    app.limits.door(Door::Refresh, from)?;
    let tokens = with_accounts(&app, move |accounts| {
        let Some(account) = accounts.refresh(&body.refresh_token)? else { return Ok(None) };
        accounts.tokens(&account).map(Some)
    });
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

/// The account
///
/// An admin's key stands for the first account.
#[utoipa::path(get, path = "/auth/me", tag = TAG, responses((status = 200, body = Me)))]
pub(crate) async fn me(State(app): State<Shared>, _: Admin) -> Result<Json<Me>, Problem> {
    let account = with_accounts(&app, |accounts| accounts.account()).await?;
    Ok(Json(account.ok_or_else(no_account)?.into()))
}

/// What to change of an account; what is absent stays.
#[derive(Deserialize, ToSchema)]
pub(crate) struct MeBody {
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[schema(format = Email)]
    email: Option<String>,
}

/// Change the account's name or address
#[utoipa::path(patch, path = "/auth/me", tag = TAG, request_body = MeBody, responses((status = 200, body = Me)))]
pub(crate) async fn change_me(
    State(app): State<Shared>,
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

/// A change of the password.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PasswordBody {
    current_password: String,
    /// 8 characters or more.
    #[schema(min_length = 8, max_length = 1024)]
    new_password: String,
}

/// Change the account's password
///
/// All tokens end with it: log in again.
#[utoipa::path(post, path = "/auth/change-password", tag = TAG, request_body = PasswordBody,
    responses((status = 200, body = Done)))]
pub(crate) async fn change_password(
    State(app): State<Shared>,
    from: Peer,
    _: Admin,
    Body(body): Body<PasswordBody>,
) -> Result<Json<Done>, Problem> {
    // A stolen token must not serve to guess the password.
    app.limits.door(Door::Login, from)?;
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

/// What the server is for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct OnboardingBody {
    /// In the user's own words; at most 2000 characters.
    #[schema(max_length = 2000)]
    use_case: Option<String>,
}

/// Note that the dashboard's first steps are done
#[utoipa::path(post, path = "/auth/onboarding-complete", tag = TAG, request_body = OnboardingBody,
    responses((status = 200, body = Done)))]
pub(crate) async fn onboarding_complete(
    State(app): State<Shared>,
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

impl From<crate::service::accounts::Tokens> for TokensAnswer {
    fn from(tokens: crate::service::accounts::Tokens) -> Self {
        Self { access_token: tokens.access, refresh_token: tokens.refresh, token_type: "bearer" }
    }
}

async fn with_accounts<T: Send + 'static>(
    app: &Shared,
    work: impl FnOnce(&Accounts) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let accounts = app.accounts.clone();
    Ok(app.blocking(move || work(&accounts)).await??)
}

fn no_account() -> Problem {
    Problem::not_found("There is no account.").hint("POST /auth/register makes the first.")
}

fn checked_name(name: &str) -> Result<String, Problem> {
    let name = name.trim();
    match name.chars().count() {
        1..=MAX_NAME => Ok(name.to_owned()),
        _ => Err(Problem::bad_request(format!("The name must have 1 to {MAX_NAME} characters."))),
    }
}

/// Only what can't be an address is refused: whether mail arrives there is another matter.
fn checked_email(email: &str) -> Result<String, Problem> {
    let email = email.trim();
    let is_part = |part: &str| {
        !part.is_empty() && !part.contains(|char: char| char.is_whitespace() || char.is_control() || char == '@')
    };
    let looks_right = email.rsplit_once('@').is_some_and(|(name, host)| {
        is_part(name) && is_part(host) && !host.split('.').any(str::is_empty) && email.len() <= MAX_EMAIL
    });
    if looks_right { Ok(email.to_owned()) } else { Err(Problem::bad_request("The email is no address.")) }
}

fn check_password(password: &str) -> Result<(), Problem> {
    if password.chars().count() < MIN_PASSWORD {
        return Err(Problem::bad_request(format!("The password must have {MIN_PASSWORD} characters or more.")));
    }
    if password.len() > MAX_PASSWORD {
        return Err(Problem::bad_request(format!("The password must have {MAX_PASSWORD} bytes at most.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_text() {
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
