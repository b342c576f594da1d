use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use nodedata_core::Result;
use nodedata_registry::{
    gate::AuditEvent,
    http::{GroupInfo, RoleInfo},
};

use crate::{
    clock::stamp,
    database::{
        Database,
        audit::append_line,
        revocations::{Revoked, note_revoked},
        session::Session,
    },
    principal::DatasetPattern,
    roles::{Holder, Role, RoleOn},
};

impl Database {
    /// Gives a role, in the place of the one that was there; a lower one counts as taken back.
    pub(crate) fn give_role(
        &self,
        who: &str,
        (holder, on, role): (&Holder, &DatasetPattern, Role),
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.at_once(|it| {
            let old = role_of(it, holder, on)?;
            if old.as_deref() == Some(role.name()) {
                return Ok(());
            }
            it.execute(
                "INSERT INTO roles (holder, pattern, role) VALUES (?1, ?2, ?3)
                 ON CONFLICT (holder, pattern) DO UPDATE SET role = excluded.role",
                &[(&holder.to_string()).into(), (&on.to_string()).into(), role.name().into()],
            )?;
            if old.is_some() {
                note_revoked(it, taken(holder, on), now)?;
            }
            let event = event(who, "give-role", Some(on), format!("{} {holder}", role.name()));
            append_line(it, stamp(now), event)
        })
    }

    /// Takes a role away; says whether there was one.
    pub(crate) fn take_role(
        &self,
        who: &str,
        (holder, on): (&Holder, &DatasetPattern),
        now: DateTime<Utc>,
    ) -> Result<bool> {
        self.at_once(|it| {
            let Some(old) = role_of(it, holder, on)? else { return Ok(false) };
            remove_role(it, &holder.to_string(), &on.to_string())?;
            note_revoked(it, taken(holder, on), now)?;
            append_line(it, stamp(now), event(who, "take-role", Some(on), format!("{old} {holder}")))?;
            Ok(true)
        })
    }

    /// Every role, by where it holds.
    pub(crate) fn roles(&self) -> Result<Vec<RoleInfo>> {
        let sql = "SELECT holder, pattern, role FROM roles ORDER BY pattern, holder";
        self.session()?
            .rows(sql, &[], |row| Ok(RoleInfo { who: row.get(0)?, on: row.get(1)?, role: row.get(2)? }))
    }

    /// Puts an account into a group, which is made when it is not there.
    pub(crate) fn add_member(
        &self,
        who: &str,
        (group, account): (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.at_once(|it| {
            let added = it.execute(
                "INSERT INTO members (group_name, account) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                &[group.into(), account.into()],
            )?;
            match added {
                0 => Ok(()),
                _ => {
                    append_line(it, stamp(now), event(who, "add-member", None, format!("{group} {account}")))
                }
            }
        })
    }

    /// Takes an account out of a group; says whether it was in it.
    pub(crate) fn remove_member(
        &self,
        who: &str,
        (group, account): (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<bool> {
        self.at_once(|it| {
            if !leave(it, group, account)? {
                return Ok(false);
            }
            let revoked = Revoked::Member { group: group.to_owned(), account: account.to_owned() };
            note_revoked(it, revoked, now)?;
            append_line(it, stamp(now), event(who, "remove-member", None, format!("{group} {account}")))?;
            Ok(true)
        })
    }

    /// Every group with its members, or those that an account is in, each with that member alone.
    pub(crate) fn groups(&self, account: Option<&str>) -> Result<Vec<GroupInfo>> {
        let rows = self.session()?.rows(
            "SELECT group_name, account FROM members WHERE ?1 IS NULL OR account = ?1
             ORDER BY group_name, account",
            &[account.into()],
            |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?)),
        )?;
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (group, member) in rows {
            groups.entry(group).or_default().push(member);
        }
        Ok(groups.into_iter().map(|(name, members)| GroupInfo { name, members }).collect())
    }
}

/// The roles of an account that sends a token: its own, and those of the groups that it is in, by hand or by the token's login.
pub(super) fn roles_of(session: &Session<'_>, account: &str, token: &str) -> Result<Vec<RoleOn>> {
    session.rows(
        "SELECT role, pattern FROM roles WHERE holder = 'account:' || ?1
         UNION SELECT role, pattern FROM roles
         WHERE holder IN (SELECT 'group:' || group_name FROM members WHERE account = ?1
                          UNION SELECT 'group:' || group_name FROM login_groups WHERE token = ?2)",
        &[account.into(), token.into()],
        |row| Ok(RoleOn { role: row.get::<String>(0)?.parse()?, on: row.get::<String>(1)?.parse()? }),
    )
}

pub(super) fn remove_role(at_once: &Session<'_>, holder: &str, on: &str) -> Result<()> {
    at_once
        .execute("DELETE FROM roles WHERE holder = ?1 AND pattern = ?2", &[holder.into(), on.into()])
        .map(drop)
}

/// Says whether it was in it.
pub(super) fn leave(at_once: &Session<'_>, group: &str, account: &str) -> Result<bool> {
    let sql = "DELETE FROM members WHERE group_name = ?1 AND account = ?2";
    Ok(at_once.execute(sql, &[group.into(), account.into()])? == 1)
}

fn role_of(at_once: &Session<'_>, holder: &Holder, on: &DatasetPattern) -> Result<Option<String>> {
    at_once.row(
        "SELECT role FROM roles WHERE holder = ?1 AND pattern = ?2",
        &[(&holder.to_string()).into(), (&on.to_string()).into()],
        |row| row.get(0),
    )
}

fn taken(holder: &Holder, on: &DatasetPattern) -> Revoked {
    Revoked::Role { holder: holder.to_string(), on: on.to_string() }
}

fn event(who: &str, action: &str, on: Option<&DatasetPattern>, subject: String) -> AuditEvent {
    AuditEvent {
        who: who.to_owned(),
        action: action.to_owned(),
        dataset: on.map(ToString::to_string),
        subject: Some(subject),
        ..AuditEvent::default()
    }
}
