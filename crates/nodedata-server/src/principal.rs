use std::{collections::BTreeSet, fmt, str::FromStr};

use nodedata_core::{Error, ErrorKind, Result, nearest};
use nodedata_registry::{DatasetName, record::Operation};

use crate::roles::{Role, RoleOn};

/// What a token may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// `read`: what is public, and one's own namespace.
    Read,
    /// `read:OWNER/NAME`: see a private dataset too. A gate stays a gate.
    ReadOf(DatasetPattern),
    /// `push:OWNER/NAME`: send blobs. Reads no data.
    Push(DatasetPattern),
    /// `publish:OWNER/NAME`: send blobs, add to the log, and read what is there, which a new revision is compared with.
    Publish(DatasetPattern),
    /// `review:OWNER/NAME`: answer requests for access. Reads no data.
    Review(DatasetPattern),
    /// `steward:OWNER/NAME`: lower what protects personal data. Reads no data.
    Steward(DatasetPattern),
    /// `roles`: all that the account's roles, and those of its groups, open.
    Roles,
    /// `admin`: tokens and the audit log. Opens no gate.
    Admin,
}

/// One dataset, or all of an owner: `acme/x`, `acme/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetPattern {
    owner: String,
    /// `None` for all.
    name: Option<String>,
}

impl DatasetPattern {
    /// Whether all that another one names is named by this one.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.owner == other.owner && (self.name.is_none() || self.name == other.name)
    }

    pub(crate) fn matches(&self, dataset: &DatasetName) -> bool {
        self.owner == dataset.owner() && self.name.as_deref().is_none_or(|it| it == dataset.name())
    }
}

impl FromStr for Scope {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = || {
            let (what, rest) = text.split_once(':').map_or((text, None), |(what, rest)| (what, Some(rest)));
            let known = ["read", "roles", "admin", "push", "publish", "review", "steward"];
            let near = nearest(what, known).filter(|it| *it != what).map_or_else(String::new, |it| {
                let rest = rest.map_or_else(String::new, |rest| format!(":{rest}"));
                format!("did you mean `{it}{rest}`? ")
            });
            Error::new(ErrorKind::Config, format!("`{text}` is no scope")).with_hint(format!(
                "{near}write read, roles, admin, or read:, push:, publish:, review:, steward: and OWNER/NAME or OWNER/*"
            ))
        };
        let (what, dataset) = match text.split_once(':') {
            Some((what, dataset)) => (what, Some(dataset.parse::<DatasetPattern>().map_err(|_| refused())?)),
            None => (text, None),
        };
        match (what, dataset) {
            ("read", None) => Ok(Self::Read),
            ("roles", None) => Ok(Self::Roles),
            ("admin", None) => Ok(Self::Admin),
            ("read", Some(it)) => Ok(Self::ReadOf(it)),
            ("push", Some(it)) => Ok(Self::Push(it)),
            ("publish", Some(it)) => Ok(Self::Publish(it)),
            ("review", Some(it)) => Ok(Self::Review(it)),
            ("steward", Some(it)) => Ok(Self::Steward(it)),
            _ => Err(refused()),
        }
    }
}

impl FromStr for DatasetPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(owner) = text.strip_suffix("/*") {
            // Checked as the owner of some dataset.
            DatasetName::new(owner, "x")?;
            return Ok(Self { owner: owner.to_owned(), name: None });
        }
        let name: DatasetName = text.parse()?;
        Ok(Self { owner: name.owner().to_owned(), name: Some(name.name().to_owned()) })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, pattern) = match self {
            Self::Read => return f.write_str("read"),
            Self::Roles => return f.write_str("roles"),
            Self::Admin => return f.write_str("admin"),
            Self::ReadOf(it) => ("read", it),
            Self::Push(it) => ("push", it),
            Self::Publish(it) => ("publish", it),
            Self::Review(it) => ("review", it),
            Self::Steward(it) => ("steward", it),
        };
        write!(f, "{what}:{pattern}")
    }
}

impl fmt::Display for DatasetPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name.as_deref().unwrap_or("*"))
    }
}

/// Private datasets that somebody may know of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sees {
    /// All of these owners.
    pub(crate) owners: BTreeSet<String>,
    /// These, as `owner/name`.
    pub(crate) names: BTreeSet<String>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    /// `None` without a token.
    pub(crate) account: Option<String>,
    pub(crate) scopes: Vec<Scope>,
    /// Name of the token.
    pub(crate) token: Option<String>,
    /// What the account may do by its roles; which of it the token opens, its scopes say.
    pub(crate) roles: Vec<RoleOn>,
}

impl Principal {
    pub(crate) fn anonymous() -> Self {
        Self { account: None, scopes: Vec::new(), token: None, roles: Vec::new() }
    }

    /// For the audit log.
    pub(crate) fn who(&self) -> &str {
        self.account.as_deref().unwrap_or("anonymous")
    }

    pub(crate) fn is_admin(&self) -> bool {
        self.scopes.contains(&Scope::Admin)
    }

    fn any(&self, holds: impl Fn(&Scope) -> bool) -> bool {
        self.scopes.iter().any(holds)
    }

    /// Whether a role that the token may use opens something of a dataset.
    fn acts(&self, dataset: &DatasetName, opens: impl Fn(Role) -> bool) -> bool {
        self.any(|it| *it == Scope::Roles) && self.has_role(dataset, opens)
    }

    fn has_role(&self, dataset: &DatasetName, opens: impl Fn(Role) -> bool) -> bool {
        self.roles.iter().any(|it| it.on.matches(dataset) && opens(it.role))
    }

    /// Whether the token lets roles see what they see.
    fn reads(&self) -> bool {
        self.any(|it| matches!(it, Scope::Read | Scope::Roles))
    }

    pub(crate) fn may_push(&self, dataset: &DatasetName) -> bool {
        self.any(|it| matches!(it, Scope::Push(of) | Scope::Publish(of) if of.matches(dataset)))
            || self.acts(dataset, Role::pushes)
    }

    /// Whether it may send blobs at all.
    pub(crate) fn may_push_somewhere(&self) -> bool {
        let by_role = || self.any(|it| *it == Scope::Roles) && self.roles.iter().any(|it| it.role.pushes());
        self.any(|it| matches!(it, Scope::Push(_) | Scope::Publish(_))) || by_role()
    }

    /// Whether it may add to the log at all; what, [`Self::may_commit`] says.
    pub(crate) fn may_publish(&self, dataset: &DatasetName) -> bool {
        self.any(|it| matches!(it, Scope::Publish(of) if of.matches(dataset)))
            || self.acts(dataset, Role::pushes)
    }

    pub(crate) fn may_commit(&self, dataset: &DatasetName, op: &Operation) -> bool {
        let by_scope = |it: &Scope| match it {
            Scope::Publish(of) => of.matches(dataset),
            Scope::Steward(of) => of.matches(dataset) && matches!(op, Operation::Declare { .. }),
            _ => false,
        };
        self.any(by_scope) || self.acts(dataset, |it| it.commits(op))
    }

    pub(crate) fn may_review(&self, dataset: &DatasetName) -> bool {
        self.any(|it| matches!(it, Scope::Review(of) if of.matches(dataset)))
            || self.acts(dataset, Role::reviews)
    }

    /// Whether it may say who has which role on a dataset, or on all of an owner.
    pub(crate) fn may_give_roles(&self, on: &DatasetPattern) -> bool {
        let manages = |it: &RoleOn| it.role == Role::Admin && it.on.covers(on);
        self.is_admin() || self.any(|it| *it == Scope::Roles) && self.roles.iter().any(manages)
    }

    /// Whether it may lower what protects personal data of the dataset.
    pub(crate) fn may_lower(&self, dataset: &DatasetName) -> bool {
        self.any(|it| matches!(it, Scope::Steward(of) if of.matches(dataset)))
            || self.acts(dataset, Role::lowers)
    }

    /// Whether it reads the dataset as its own, so that its gate does not stand before it: who owns it, or publishes to it.
    pub(crate) fn may_read(&self, dataset: &DatasetName) -> bool {
        let is_owner = self.account.as_deref() == Some(dataset.owner()) && self.any(|it| *it == Scope::Read);
        let by_role = || self.reads() && self.has_role(dataset, Role::pushes);
        is_owner || self.may_publish(dataset) || by_role()
    }

    /// Whether it may read the data of the dataset although it is private; a gate stays a gate.
    pub(crate) fn may_read_private(&self, dataset: &DatasetName) -> bool {
        let by_role = || self.reads() && self.has_role(dataset, Role::reads);
        self.may_read(dataset)
            || self.any(|it| matches!(it, Scope::ReadOf(of) if of.matches(dataset)))
            || by_role()
    }

    /// What it may see beside what is public: the same as [`Self::may_see_private`] says of each dataset.
    pub(crate) fn sees(&self) -> Sees {
        let mut sees = Sees::default();
        if self.scopes.contains(&Scope::Read) {
            sees.owners.extend(self.account.clone());
        }
        let by_scope = self.scopes.iter().filter_map(|it| match it {
            Scope::ReadOf(of)
            | Scope::Push(of)
            | Scope::Publish(of)
            | Scope::Review(of)
            | Scope::Steward(of) => Some(of),
            Scope::Read | Scope::Roles | Scope::Admin => None,
        });
        let by_role = self.roles.iter().filter(|_| self.reads()).map(|it| &it.on);
        for of in by_scope.chain(by_role) {
            match of.name {
                Some(_) => sees.names.insert(of.to_string()),
                None => sees.owners.insert(of.owner.clone()),
            };
        }
        sees
    }

    /// Whether it may know of the dataset although it is private. That opens no data.
    pub(crate) fn may_see_private(&self, dataset: &DatasetName) -> bool {
        self.may_read_private(dataset)
            || self.may_push(dataset)
            || self.may_review(dataset)
            || self.may_lower(dataset)
            || self.reads() && self.has_role(dataset, |_| true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(account: &str, scopes: &[&str]) -> Principal {
        let scopes = scopes.iter().map(|it| it.parse().unwrap()).collect();
        Principal { account: Some(account.to_owned()), scopes, token: None, roles: Vec::new() }
    }

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for text in
            ["read", "roles", "admin", "read:a/b", "push:a/*", "publish:a/b", "review:a/*", "steward:a/b"]
        {
            assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
        }
        for bad in
            ["", "push", "admin:acme/x", "push:acme", "push:*/x", "push:*", "push:acme/**", "write:a/b"]
        {
            assert_eq!(bad.parse::<Scope>().unwrap_err().kind(), ErrorKind::Config, "{bad}");
        }
    }

    #[test]
    fn a_scope_opens_its_dataset_only() {
        let (mine, other): (DatasetName, DatasetName) =
            ("acme/x".parse().unwrap(), "acme/y".parse().unwrap());
        let pusher = of("robot", &["push:acme/x"]);
        assert!(pusher.may_push(&mine) && !pusher.may_publish(&mine) && !pusher.may_push(&other));
        assert!(pusher.may_see_private(&mine) && !pusher.may_see_private(&other));
        for scope in ["push:acme/x", "review:acme/x", "steward:acme/x"] {
            let it = of("acme", &[scope]);
            assert!(it.may_see_private(&mine), "{scope}");
            assert!(!it.may_read(&mine) && !it.may_read_private(&mine), "{scope}");
            assert_eq!(it.may_lower(&mine), scope.starts_with("steward"));
        }
        let publisher = of("robot", &["publish:acme/*"]);
        assert!(publisher.may_push(&other) && publisher.may_publish(&other) && !publisher.may_review(&other));
        assert!(publisher.may_read(&other) && !publisher.may_lower(&other));
        let owner = of("acme", &["read"]);
        assert!(owner.may_read(&mine) && !owner.may_push(&mine) && !owner.may_lower(&mine));
        assert!(!of("acme", &["publish:acme/y"]).may_read(&mine), "the token says less than the account");
        let reader = of("someone", &["read:acme/x"]);
        assert!(reader.may_read_private(&mine) && !reader.may_read(&mine) && !reader.may_see_private(&other));
        let by_role = Principal {
            roles: vec![RoleOn { role: Role::Reviewer, on: "acme/x".parse().unwrap() }],
            ..of("ada", &["roles"])
        };
        let by_no_role = Principal { scopes: vec!["push:b/c".parse().unwrap()], ..by_role.clone() };
        let steward = of("ada", &["steward:acme/*"]);
        // What is listed is what is seen.
        for asker in [&pusher, &publisher, &owner, &reader, &by_role, &by_no_role, &steward] {
            let sees = asker.sees();
            for dataset in [&mine, &other] {
                let is_listed =
                    sees.owners.contains(dataset.owner()) || sees.names.contains(&dataset.to_string());
                assert_eq!(is_listed, asker.may_see_private(dataset), "{asker:?} {dataset}");
            }
        }
        let admin = of("root", &["admin"]);
        assert!(!admin.may_read(&mine) && !admin.may_see_private(&mine) && !admin.may_push_somewhere());
    }
}
