use nodedata_core::Result;
use reqwest::Method;

use crate::http::{
    client::HttpRemote,
    exchange::Question,
    wire::{GroupInfo, GroupList, RoleBody, RoleInfo, RoleList},
};

/// Who may do what on a server.
impl HttpRemote {
    /// Roles: every one for operators, those on what one manages for its admins, and one's own.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn roles(&self) -> Result<Vec<RoleInfo>> {
        Ok(self.get("v1/roles".to_owned())?.parse::<RoleList>()?.roles)
    }

    /// Gives `account:NAME` or `group:NAME` a role on `OWNER/NAME` or `OWNER/*`, in the place of the one that it had there.
    ///
    /// # Errors
    /// `Config` for what is no role, holder or dataset; `Io`, `Denied`.
    pub fn give_role(&self, who: &str, on: &str, role: &str) -> Result<()> {
        let question = Question::new(Method::PUT, format!("v1/roles/{on}/{who}"));
        self.exchange.ask(&question.json(&RoleBody { role: role.to_owned() })?)?;
        Ok(())
    }

    /// Takes a role away; says whether there was one.
    ///
    /// # Errors
    /// As [`Self::give_role`].
    pub fn take_role(&self, who: &str, on: &str) -> Result<bool> {
        let question = Question::new(Method::DELETE, format!("v1/roles/{on}/{who}"));
        Ok(self.exchange.ask_for(&question)?.is_some())
    }

    /// Groups with their members: every one for operators, those that one is in for others.
    ///
    /// # Errors
    /// `Io`, `Denied`.
    pub fn groups(&self) -> Result<Vec<GroupInfo>> {
        Ok(self.get("v1/groups".to_owned())?.parse::<GroupList>()?.groups)
    }

    /// Puts an account into a group, which is made when it is not there.
    ///
    /// # Errors
    /// `Config` for a name that neither can have; `Io`, `Denied`.
    pub fn add_member(&self, group: &str, account: &str) -> Result<()> {
        self.exchange.ask(&Question::new(Method::PUT, format!("v1/groups/{group}/members/{account}")))?;
        Ok(())
    }

    /// Takes an account out of a group; says whether it was in it.
    ///
    /// # Errors
    /// As [`Self::add_member`].
    pub fn remove_member(&self, group: &str, account: &str) -> Result<bool> {
        let question = Question::new(Method::DELETE, format!("v1/groups/{group}/members/{account}"));
        Ok(self.exchange.ask_for(&question)?.is_some())
    }
}
