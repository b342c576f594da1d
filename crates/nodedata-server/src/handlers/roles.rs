//! Groups of accounts, and the roles that accounts and groups have.

use nodedata_registry::http::{GroupInfo, GroupList, RoleBody, RoleList};

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
    let groups = own_groups(app, call)?.into_iter().map(|it| format!("group:{}", it.name));
    Ok(groups.chain([format!("account:{account}")]).collect())
}

/// The groups that the asker is in: by hand, and by the login whose token was sent.
fn own_groups(app: &App, call: &Call) -> Answered<Vec<GroupInfo>> {
    let account = call.principal.who();
    let mut groups = app.database.groups(Some(account))?;
    for name in login_groups(app, call)? {
        if !groups.iter().any(|it| it.name == name) {
            groups.push(GroupInfo { name, members: vec![account.to_owned()] });
        }
    }
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(groups)
}

/// The groups of the issuer that the asker is in by the login whose token was sent.
pub(crate) fn login_groups(app: &App, call: &Call) -> Answered<Vec<String>> {
    Ok(match &call.principal.token {
        Some(token) => app.database.login_groups(token)?,
        None => Vec::new(),
    })
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

/// Every group that is kept by hand for operators, those that one is in for others.
pub(crate) fn groups(app: &App, call: &Call) -> Answered<Reply> {
    let groups = match call.principal.is_admin() {
        true => app.database.groups(None)?,
        false => own_groups(app, call)?,
    };
    Reply::json(&GroupList { groups })
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
