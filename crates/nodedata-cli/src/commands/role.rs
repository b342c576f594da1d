use nodedata_client::Access;
use nodedata_core::{Result, visible::visible};
use nodedata_registry::http::HttpRemote;

use crate::{
    Outcome,
    args::Output,
    commands::{
        login_args::ServerArgs,
        role_args::{GroupCommand, RoleCommand},
    },
    documents::{self, Document, GroupChange, Groups, RoleChange, Roles},
    message,
};

/// `node-data role`.
pub(crate) fn roles(command: RoleCommand, output: Output) -> Result<Outcome> {
    match command {
        RoleCommand::List { server } => {
            let roles = remote(&server)?.roles()?;
            let line = |it: &nodedata_registry::http::RoleInfo| {
                format!("{}  {}  {}\n", visible(&it.on), it.role, visible(&it.who))
            };
            tell(&Roles { roles: &roles }, roles.iter().map(line).collect(), output)
        }
        RoleCommand::Give { who, role, on, server } => {
            remote(&server)?.give_role(&who, &on, &role)?;
            let text = format!("{} is {role} on {}\n", visible(&who), visible(&on));
            tell(&RoleChange { who: &who, on: &on, role: Some(&role) }, text, output)
        }
        RoleCommand::Take { who, on, server } => {
            let had = remote(&server)?.take_role(&who, &on)?;
            let (shown, on_shown) = (visible(&who), visible(&on));
            let text = match had {
                true => format!("{shown} has no role on {on_shown} any more\n"),
                false => format!("{shown} had no role on {on_shown}\n"),
            };
            tell(&RoleChange { who: &who, on: &on, role: None }, text, output)
        }
    }
}

/// `node-data group`.
pub(crate) fn groups(command: GroupCommand, output: Output) -> Result<Outcome> {
    match command {
        GroupCommand::List { server } => {
            let groups = remote(&server)?.groups()?;
            let line = |it: &nodedata_registry::http::GroupInfo| {
                format!("{}  {}\n", visible(&it.name), visible(&it.members.join(" ")))
            };
            tell(&Groups { groups: &groups }, groups.iter().map(line).collect(), output)
        }
        GroupCommand::Add { group, account, server } => {
            remote(&server)?.add_member(&group, &account)?;
            let text = format!("{} is in {}\n", visible(&account), visible(&group));
            tell(&GroupChange { group: &group, account: &account, is_member: true }, text, output)
        }
        GroupCommand::Remove { group, account, server } => {
            let was =
                if remote(&server)?.remove_member(&group, &account)? { "is no longer" } else { "was not" };
            let text = format!("{} {was} in {}\n", visible(&account), visible(&group));
            tell(&GroupChange { group: &group, account: &account, is_member: false }, text, output)
        }
    }
}

fn remote(args: &ServerArgs) -> Result<HttpRemote> {
    Access::from(args).server()
}

fn tell(document: &impl Document, text: String, output: Output) -> Result<Outcome> {
    message::to_stdout(&match output {
        Output::Json => documents::line(document)?,
        Output::Text => text,
    })?;
    Ok(Outcome::Complete)
}
