use chrono::{DateTime, Duration, Utc};
use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{
    DatasetName,
    clock::fresh_id,
    gate::AuditEvent,
    http::{Token, TokenInfo},
};

use crate::{
    clock::stamp,
    database::{
        Database,
        audit::append_line,
        known::{Found, Known},
        login_groups,
        revocations::{Revoked, end_token, note_revoked},
        roles::roles_of,
        session::Session,
    },
    oidc::Identity,
    principal::{Principal, Scope},
};

/// Longest time a token may hold, in days.
pub(crate) const VALID_DAYS_MAX: u32 = 3660;
/// How exact `last_used` is, in seconds: writing it on each request would be a write per read.
pub(super) const LAST_USED_SECONDS: i64 = 3600;
/// Who makes tokens on the server's own machine; no account has a space in its name.
const OPERATOR: &str = "the operator";

/// What shall stand in the place of a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rotation {
    /// As long as the old one held when absent.
    pub(crate) valid_days: Option<u32>,
    /// How long the old one goes on beside it.
    pub(crate) overlap: Duration,
    /// Whether the old one itself asks: then the new one goes where the old one is taken back.
    pub(crate) is_own: bool,
    /// Whether the new one may hold longer than the old one did.
    pub(crate) may_be_longer: bool,
}

/// How long a token of a login is listed after its end, in days. There are many of them, and the audit log tells of each.
const ENDED_DAYS_MAX: i64 = 30;

/// A token that was just made: the only time that it is known.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name, for taking it back.
    pub id: String,
    /// The secret.
    pub token: Token,
    /// When it ends, UTC.
    pub expires: String,
}

/// What a token shall be.
#[derive(Debug, Clone)]
pub(crate) struct TokenAsked<'a> {
    pub(crate) account: &'a str,
    pub(crate) scopes: &'a [Scope],
    pub(crate) valid_days: u32,
}

impl Database {
    /// Makes a token for an account, on the server's own machine.
    ///
    /// # Errors
    /// `Config` for an account name that could be no owner, for no scopes, and for a time out of range; `Io`.
    pub fn create_token(
        &self,
        account: &str,
        scopes: &[Scope],
        valid_days: u32,
        now: DateTime<Utc>,
    ) -> Result<NewToken> {
        self.make_token(OPERATOR, &TokenAsked { account, scopes, valid_days }, now)
    }

    /// Makes a token, and the line that says who has made it.
    pub(crate) fn make_token(
        &self,
        who: &str,
        asked: &TokenAsked<'_>,
        now: DateTime<Utc>,
    ) -> Result<NewToken> {
        // Accounts are owners of datasets.
        DatasetName::new(asked.account, "x")?;
        if asked.scopes.is_empty() {
            return refused("a token without scopes may do nothing".to_owned(), "name at least one scope");
        }
        check_days(asked.valid_days)?;
        let scopes: Vec<String> = asked.scopes.iter().map(ToString::to_string).collect();
        let made = Made::new(asked.account, scopes.join(" "), asked.valid_days, now)?;
        self.at_once(|it| {
            made.insert(it)?;
            let subject = format!("{} {} {}", made.new.id, made.account, made.scopes);
            append_line(it, stamp(now), event(who, "create-token", subject))
        })?;
        Ok(made.new)
    }

    /// Makes a token in the place of an identity token, and the line that says of whose.
    pub(crate) fn exchange_token(&self, identity: &Identity, now: DateTime<Utc>) -> Result<NewToken> {
        let scopes: Vec<String> = identity.scopes.iter().map(ToString::to_string).collect();
        let made = Made::until(&identity.account, scopes.join(" "), identity.until, now)?;
        self.at_once(|it| {
            let long_ago = (now - Duration::days(ENDED_DAYS_MAX)).timestamp();
            it.execute("DELETE FROM tokens WHERE is_exchanged = 1 AND expires < ?1", &[long_ago.into()])?;
            made.insert(it)?;
            it.execute("UPDATE tokens SET is_exchanged = 1 WHERE id = ?1", &[(&made.new.id).into()])?;
            let mut subject = format!("{} {}", made.new.id, made.scopes);
            if let Some(groups) = &identity.groups {
                login_groups::put(it, &made.new.id, &groups.names)?;
                subject.push_str(&format!(" in {groups}"));
            }
            subject.push_str(&format!(" of {}", identity.of));
            append_line(it, stamp(now), event(&made.account, "exchange-token", subject))
        })?;
        Ok(made.new)
    }

    /// Makes a token in the place of another that holds; `None` when there is none of that name.
    pub(crate) fn rotate_token(
        &self,
        who: &str,
        id: &str,
        rotation: Rotation,
        now: DateTime<Utc>,
    ) -> Result<Option<NewToken>> {
        self.at_once(|it| {
            let Some(old) = held(it, id, now)? else { return Ok(None) };
            if old.is_exchanged {
                let message = "the token is of a login, and ends when that ends";
                return Err(Error::new(ErrorKind::Denied, message).with_hint("log in again"));
            }
            let days = rotation.valid_days.unwrap_or(old.valid_days);
            check_days(days)?;
            if !rotation.may_be_longer && days > old.valid_days {
                let message =
                    format!("the token held {} days, and makes none that holds longer", old.valid_days);
                return Err(Error::new(ErrorKind::Denied, message).with_hint("ask the operator for one"));
            }
            let made = Made::new(&old.account, old.scopes, days, now)?;
            made.insert(it)?;
            if rotation.is_own {
                let sql = "UPDATE tokens SET rotated_from = ?2 WHERE id = ?1";
                it.execute(sql, &[(&made.new.id).into(), id.into()])?;
            }
            let is_kept = rotation.overlap > Duration::zero();
            let until = is_kept.then(|| (now + rotation.overlap).timestamp());
            if end_token(it, id, until)? {
                note_revoked(it, Revoked::Token { id: id.to_owned(), until }, now)?;
            }
            append_line(it, stamp(now), event(who, "rotate-token", format!("{id} {}", made.new.id)))?;
            Ok(Some(made.new))
        })
    }

    /// Whose token it is; `None` for one that is unknown, taken back, or over.
    pub(crate) fn principal_of(&self, token: &Token, now: DateTime<Utc>) -> Result<Option<Principal>> {
        if let Some(known) = self.known_principal(token, now) {
            return Ok(Some(known));
        }
        // Asked before the rest, which is then of that state of the database or of a later one.
        let version = self.known.as_deref().and_then(Known::version);
        let session = self.session()?;
        let (hash, seconds) = (token.hash(), now.timestamp());
        let found = session.row(
            "SELECT id, account, scopes, last_used, expires FROM tokens WHERE hash = ?1 AND revoked = 0 AND expires > ?2",
            &[(&hash).into(), seconds.into()],
            |row| {
                let (id, account, scopes): (String, String, String) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((id, account, scopes, row.get::<Option<i64>>(3)?, row.get::<i64>(4)?))
            },
        )?;
        let Some((id, account, scopes, last_used, expires)) = found else { return Ok(None) };
        if last_used.is_none_or(|it| it + LAST_USED_SECONDS < seconds) {
            // Whoever may read what needs no line, may do so while the database takes nothing.
            let sql = "UPDATE tokens SET last_used = ?2 WHERE id = ?1";
            drop(session.execute(sql, &[(&id).into(), seconds.into()]));
        }
        let scopes = scopes.split(' ').map(str::parse).collect::<Result<Vec<Scope>>>()?;
        let roles = roles_of(&session, &account, &id)?;
        let principal = Principal { account: Some(account), scopes, token: Some(id), roles };
        if let (Some(known), Some(version), Some(last_used)) = (&self.known, version, last_used) {
            let until = expires.min(last_used + LAST_USED_SECONDS + 1);
            known.keep(version, hash, Found { principal: principal.clone(), until });
        }
        Ok(Some(principal))
    }

    /// The same, where it was found out before and nobody has written to the database since: that waits for no disk.
    pub(crate) fn known_principal(&self, token: &Token, now: DateTime<Utc>) -> Option<Principal> {
        self.known.as_ref()?.find(&token.hash(), now.timestamp())
    }

    /// Takes a token back, at once, and those that it made in its own place: whoever had it may have them. Says whether there was one
    /// that held.
    pub(crate) fn revoke_token(&self, who: &str, id: &str, now: DateTime<Utc>) -> Result<bool> {
        self.at_once(|it| {
            let mut subject = id.to_owned();
            let mut has_ended = false;
            for ended in with_successors(it, id)? {
                if !end_token(it, &ended, None)? {
                    continue;
                }
                has_ended = true;
                if ended != id {
                    subject.push(' ');
                    subject.push_str(&ended);
                }
                note_revoked(it, Revoked::Token { id: ended, until: None }, now)?;
            }
            if has_ended {
                append_line(it, stamp(now), event(who, "revoke-token", subject))?;
            }
            Ok(has_ended)
        })
    }

    /// All tokens, or those of an account, oldest first, without their secrets, which are not here.
    pub(crate) fn tokens(&self, account: Option<&str>, now: DateTime<Utc>) -> Result<Vec<TokenInfo>> {
        let session = self.session()?;
        let mut groups = login_groups::by_token(&session, account)?;
        session.rows(
            "SELECT id, account, scopes, created, expires, revoked, last_used FROM tokens
             WHERE ?1 IS NULL OR account = ?1 ORDER BY created, rowid",
            &[account.into()],
            |row| {
                let (created, expires): (i64, i64) = (row.get(3)?, row.get(4)?);
                let state = match row.flag(5)? {
                    true => "revoked",
                    false if expires <= now.timestamp() => "expired",
                    false => "active",
                };
                let id: String = row.get(0)?;
                Ok(TokenInfo {
                    groups: groups.remove(&id).unwrap_or_default(),
                    id,
                    account: row.get(1)?,
                    scopes: row.get::<String>(2)?.split(' ').map(str::to_owned).collect(),
                    created: at(created),
                    expires: at(expires),
                    last_used: row.get::<Option<i64>>(6)?.map(at),
                    state: state.to_owned(),
                })
            },
        )
    }
}

fn refused<T>(message: String, hint: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Config, message).with_hint(hint))
}

fn check_days(valid_days: u32) -> Result<()> {
    match (1..=VALID_DAYS_MAX).contains(&valid_days) {
        true => Ok(()),
        false => refused(format!("a token holds 1 to {VALID_DAYS_MAX} days"), "365 is usual"),
    }
}

fn event(who: &str, action: &str, subject: String) -> AuditEvent {
    AuditEvent {
        who: who.to_owned(),
        action: action.to_owned(),
        subject: Some(subject),
        ..AuditEvent::default()
    }
}

fn at(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).map(stamp).unwrap_or_default()
}

/// A token on its way into the database.
struct Made {
    new: NewToken,
    account: String,
    scopes: String,
    created: i64,
    expires: i64,
}

impl Made {
    fn new(account: &str, scopes: String, valid_days: u32, now: DateTime<Utc>) -> Result<Self> {
        Self::until(account, scopes, now + chrono::Days::new(u64::from(valid_days)), now)
    }

    fn until(account: &str, scopes: String, expires: DateTime<Utc>, now: DateTime<Utc>) -> Result<Self> {
        let new = NewToken { id: fresh_id(), token: Token::generate()?, expires: stamp(expires) };
        let (created, expires) = (now.timestamp(), expires.timestamp());
        Ok(Self { new, account: account.to_owned(), scopes, created, expires })
    }

    fn insert(&self, at_once: &Session<'_>) -> Result<()> {
        at_once
            .execute(
                "INSERT INTO tokens (id, hash, account, scopes, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                &[
                    (&self.new.id).into(),
                    (&self.new.token.hash()).into(),
                    (&self.account).into(),
                    (&self.scopes).into(),
                    self.created.into(),
                    self.expires.into(),
                ],
            )
            .map(drop)
    }
}

/// A token that holds.
struct Held {
    account: String,
    scopes: String,
    /// As it was made, rounded up.
    valid_days: u32,
    is_exchanged: bool,
}

/// A token, those that it made in its own place, and those that these made in theirs, in this order.
fn with_successors(at_once: &Session<'_>, id: &str) -> Result<Vec<String>> {
    let mut found = vec![id.to_owned()];
    let mut n_asked = 0;
    while let Some(id) = found.get(n_asked) {
        let made = at_once.rows(
            "SELECT id FROM tokens WHERE rotated_from = ?1 ORDER BY created, id",
            &[id.into()],
            |row| row.get(0),
        )?;
        n_asked += 1;
        found.extend::<Vec<String>>(made);
    }
    Ok(found)
}

fn held(at_once: &Session<'_>, id: &str, now: DateTime<Utc>) -> Result<Option<Held>> {
    at_once.row(
        "SELECT account, scopes, expires - created, is_exchanged FROM tokens WHERE id = ?1 AND revoked = 0 AND expires > ?2",
        &[id.into(), now.timestamp().into()],
        |row| {
            let days = row.get::<i64>(2)?.clamp(1, i64::from(VALID_DAYS_MAX) * 86_400);
            let valid_days = u32::try_from((days + 86_399) / 86_400).unwrap_or(VALID_DAYS_MAX);
            Ok(Held { account: row.get(0)?, scopes: row.get(1)?, valid_days, is_exchanged: row.flag(3)? })
        },
    )
}
