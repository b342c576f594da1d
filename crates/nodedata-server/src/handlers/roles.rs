//! Groups of accounts, and the roles that accounts and groups have.

use nodedata_registry::http::{GroupList, RoleBody, RoleList};

use crate::{
    app::App,
    call::Call,
    principal::DatasetPattern,
    refusal::{Answered, Refusal},
    reply::Reply,
    roles::{Holder, Role, check_name},
};

/// Every role for operators, those on what one manages for its admins, and one's own.
pub(crate) fn list(app: &App, call: &Call) -> Answered<Reply> {
    let mine = holders(app, call)?;
    let mut roles = app.database.roles()?;
    roles.retain(|it| {
        mine.contains(&it.who)
            || it.on.parse::<DatasetPattern>().is_ok_and(|on| call.principal.may_give_roles(&on))
    });
    Reply::json(&RoleList { roles })
}

/// The asker, as roles name them.
fn holders(app: &App, call: &Call) -> Answered<Vec<String>> {
    let account = call.principal.who();
    let groups = app.database.groups(Some(account))?.into_iter().map(|it| format!("group:{}", it.name));
    Ok(groups.chain([format!("account:{account}")]).collect())
}

pub(crate) fn give(app: &App, call: &Call) -> Answered<Reply> {
    let (holder, on) = asked(app, call, "give-role")?;
    let body: RoleBody = call.json()?;
    let role = body.role.parse::<Role>().map_err(|err| Refusal::invalid(&err))?;
    app.database.give_role(call.principal.who(), (&holder, &on, role), app.options.clock.now())?;
    app.keep_apart()?;
    Ok(Reply::empty())
}

pub(crate) fn take(app: &App, call: &Call) -> Answered<Reply> {
    let (holder, on) = asked(app, call, "take-role")?;
    if !app.database.take_role(call.principal.who(), (&holder, &on), app.options.clock.now())? {
        return Err(Refusal::missing("role"));
    }
    app.keep_apart()?;
    Ok(Reply::empty())
}

/// `/v1/roles/{owner}/{name}/{who}`, for those who may say who has which role there.
fn asked(app: &App, call: &Call, action: &str) -> Answered<(Holder, DatasetPattern)> {
    let text = format!("{}/{}", call.param("owner"), call.param("name"));
    let on = text.parse::<DatasetPattern>().map_err(|err| Refusal::invalid(&err))?;
    let holder = call.param("who").parse::<Holder>().map_err(|err| Refusal::invalid(&err))?;
    if call.principal.may_give_roles(&on) {
        return Ok((holder, on));
    }
    let refusal = Refusal::new(
        403,
        "scope",
        "the token does not let it say who has which role there",
        "ask the operator for the role `admin` there, and for a token with `roles`",
    );
    app.denied(&call.principal, action, Some(on.to_string()), refusal)
}

/// Every group for operators, those that one is in for others.
pub(crate) fn groups(app: &App, call: &Call) -> Answered<Reply> {
    let own = Some(call.principal.who()).filter(|_| !call.principal.is_admin());
    Reply::json(&GroupList { groups: app.database.groups(own)? })
}

pub(crate) fn add_member(app: &App, call: &Call) -> Answered<Reply> {
    let member = member(app, call, "add-member")?;
    app.database.add_member(call.principal.who(), member, app.options.clock.now())?;
    Ok(Reply::empty())
}

pub(crate) fn remove_member(app: &App, call: &Call) -> Answered<Reply> {
    let member = member(app, call, "remove-member")?;
    if !app.database.remove_member(call.principal.who(), member, app.options.clock.now())? {
        return Err(Refusal::missing("member of the group"));
    }
    app.keep_apart()?;
    Ok(Reply::empty())
}

/// Groups hold roles on datasets of any owner, so operators alone say who is in them.
fn member<'a>(app: &App, call: &'a Call, action: &str) -> Answered<(&'a str, &'a str)> {
    if !call.principal.is_admin() {
        return app.denied(&call.principal, action, None, Refusal::forbidden("admin"));
    }
    let (group, account) = (call.param("group"), call.param("account"));
    for name in [group, account] {
        check_name(name).map_err(|err| Refusal::invalid(&err))?;
    }
    Ok((group, account))
}
