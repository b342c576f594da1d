use std::path::PathBuf;

use clap::Args;

/// Who is believed when they say who somebody is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logins")]
pub(crate) struct OidcArgs {
    /// People log in at this OpenID issuer: with `node-data login`, and on the pages. Spelled as its tokens name it. The account is
    /// made of what it says; the token holds for as long as its identity token, and at most 12 hours.
    #[arg(long, value_name = "URL", requires = "oidc_client_id")]
    oidc_issuer: Option<String>,
    /// What the issuer calls this server. A secret, where that client has one, comes from the variable NODEDATA_OIDC_CLIENT_SECRET.
    #[arg(long, value_name = "ID", requires = "oidc_issuer")]
    oidc_client_id: Option<String>,
    /// The claim of identity tokens that is the account. Take one that the issuer gives to one person and that people cannot choose.
    #[arg(long, value_name = "CLAIM", default_value = "preferred_username", requires = "oidc_issuer")]
    oidc_account_claim: String,
    /// What the token of somebody who logs in may do, as with `--scope`; not `admin`. May be given several times. `read` and
    /// `roles` when absent.
    #[arg(long, value_name = "SCOPE", requires = "oidc_issuer")]
    oidc_scope: Vec<String>,
    /// Who logs in is in the groups that this claim of the identity token names, for as long as the token of the login holds: a list
    /// of names, or one name; `realm_access.roles` is `roles` within `realm_access`. Groups of the issuer are not taken over when absent.
    #[arg(long, value_name = "CLAIM", requires = "oidc_issuer")]
    oidc_groups: Option<String>,
    /// What stands before the issuer's names of groups here, so that none of them is a group of yours: `lab` there is `oidc-lab` here.
    /// With '' they are called as there, and whoever names groups there says who is in yours.
    #[arg(long, value_name = "PREFIX", default_value = "oidc-", requires = "oidc_groups")]
    oidc_group_prefix: String,
    /// Ask the issuer for this scope as well, where it says groups only then: Dex wants `groups`.
    #[arg(long, value_name = "SCOPE", requires = "oidc_groups")]
    oidc_group_scope: Option<String>,
    /// Exchange identity tokens of other issuers, such as those of CI, by the rules in this file: a list in YAML of `issuer`,
    /// `audience`, `claims` that a token must have, `account` and `scopes`. The first that fits counts.
    #[arg(long, value_name = "FILE")]
    oidc_trust: Option<PathBuf>,
}

#[cfg(feature = "server")]
impl OidcArgs {
    /// The issuer for people. The secret comes from the environment, so that no list of processes shows it.
    pub(crate) fn login(&self) -> nodedata_core::Result<Option<nodedata_server::OidcLogin>> {
        use nodedata_server::{OidcGroups, OidcLogin, Scope};
        let (Some(issuer), Some(client_id)) = (&self.oidc_issuer, &self.oidc_client_id) else {
            return Ok(None);
        };
        let secret = std::env::var("NODEDATA_OIDC_CLIENT_SECRET").ok().filter(|it| !it.is_empty());
        let scopes = match self.oidc_scope.is_empty() {
            true => vec![Scope::Read, Scope::Roles],
            false => self.oidc_scope.iter().map(|it| it.parse()).collect::<nodedata_core::Result<_>>()?,
        };
        let login = OidcLogin::new(issuer, client_id, secret.as_deref(), &self.oidc_account_claim, &scopes)?;
        let Some(claim) = &self.oidc_groups else { return Ok(Some(login)) };
        let groups = OidcGroups::new(claim, &self.oidc_group_prefix, self.oidc_group_scope.as_deref())?;
        Ok(Some(login.with_groups(groups)))
    }

    /// The rules for others.
    pub(crate) fn trust(&self) -> nodedata_core::Result<Vec<nodedata_server::TrustRule>> {
        self.oidc_trust.as_deref().map_or(Ok(Vec::new()), nodedata_server::TrustRule::read)
    }
}
