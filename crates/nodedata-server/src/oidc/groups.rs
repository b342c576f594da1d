//! Groups that an issuer says somebody is in, taken over for as long as the token of that login holds.

use std::{collections::BTreeSet, fmt};

use nodedata_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::{
    oidc::jwt::Claims,
    refusal::{Answered, Refusal},
    roles::check_name,
};

/// Most groups that an identity token may name: each is a row for each login, and a word in its line of the audit log.
const NAMES_MAX: usize = 500;

/// Which groups of an issuer are taken over, and what they are called here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcGroups {
    claim: String,
    prefix: String,
    /// What the issuer is asked for beside what it is always asked for.
    pub(crate) scope: Option<String>,
}

/// What an identity token says of groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    /// As they are called here.
    pub(crate) names: BTreeSet<String>,
    /// How many names can be none of a group here.
    pub(crate) n_left_out: usize,
}

impl OidcGroups {
    /// Those that `claim` of an identity token names, each with `prefix` before its name. Some issuers say them only when they are
    /// asked for `scope`.
    ///
    /// # Errors
    /// `Config` for what can be no claim, for a prefix that no group's name can begin with, and for an empty scope.
    pub fn new(claim: &str, prefix: &str, scope: Option<&str>) -> Result<Self> {
        let refused =
            |message: String, hint: &str| Err(Error::new(ErrorKind::Config, message).with_hint(hint));
        if claim.split('.').any(str::is_empty) {
            let message = format!("`{claim}` can be no claim that names groups");
            return refused(
                message,
                "write the claim's name, as `groups`, or the way to it, as `realm_access.roles`",
            );
        }
        if check_name(&format!("{prefix}x")).is_err() {
            let message = format!("no group here can be called `{prefix}` and something more");
            return refused(message, "use lower-case letters, digits, `-` and `_`, as in `oidc-`");
        }
        if scope.is_some_and(|it| it.is_empty() || it.contains(char::is_whitespace)) {
            let message = "what the issuer is asked for is one word".to_owned();
            return refused(
                message,
                "leave the scope out, or name the one that the issuer wants, as `groups`",
            );
        }
        Ok(Self { claim: claim.to_owned(), prefix: prefix.to_owned(), scope: scope.map(str::to_owned) })
    }

    /// The groups that verified claims name. None where there is no such claim: many issuers leave it out for who is in none.
    ///
    /// # Errors
    /// 403 for a claim that is no list of names, and for too many of them.
    pub(crate) fn of(&self, claims: &Claims) -> Answered<Groups> {
        let refused = |what: &str| {
            let message = format!("the claim `{}` of the identity token {what}", self.claim);
            let fix = "ask the operator which claim names groups: it holds a list of names, or one name";
            Refusal::new(403, "identity-groups", message, fix)
        };
        let names: Vec<&str> = match claims.at(&self.claim) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several
                .iter()
                .map(|it| it.as_str().ok_or_else(|| refused(&format!("holds {} as a name", kind(it)))))
                .collect::<Answered<_>>()?,
            Some(other) => return Err(refused(&format!("is {}", kind(other)))),
        };
        if names.len() > NAMES_MAX {
            return Err(refused(&format!(
                "names {} groups, and at most {NAMES_MAX} are taken over",
                names.len()
            )));
        }
        let mut groups = Groups::default();
        for name in names {
            let full = format!("{}{name}", self.prefix);
            // Other systems call groups as they like; what has no name here can have no role here.
            match !name.is_empty() && check_name(&full).is_ok() {
                true => drop(groups.names.insert(full)),
                false => groups.n_left_out += 1,
            }
        }
        Ok(groups)
    }
}

/// For the audit log.
impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names.is_empty() {
            true => f.write_str("no groups")?,
            false => f.write_str(&self.names.iter().map(String::as_str).collect::<Vec<_>>().join(" "))?,
        }
        match self.n_left_out {
            0 => Ok(()),
            n => write!(f, " ({n} left out, which can be no names here)"),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(claim: &str, prefix: &str, claims: Value) -> Answered<Groups> {
        let Value::Object(claims) = claims else { panic!("claims are a mapping") };
        OidcGroups::new(claim, prefix, None).unwrap().of(&Claims::verified(claims))
    }

    #[track_caller]
    fn names(claim: &str, claims: Value) -> Vec<String> {
        of(claim, "oidc-", claims).unwrap().names.into_iter().collect()
    }

    #[test]
    fn groups_are_a_list_or_one_name_and_bear_the_prefix() {
        assert_eq!(
            names("groups", json!({"groups": ["robots", "lab", "robots"]})),
            ["oidc-lab", "oidc-robots"]
        );
        assert_eq!(names("groups", json!({"groups": "lab"})), ["oidc-lab"]);
        for none in [json!({}), json!({"groups": []}), json!({"groups": null}), json!({"group": ["lab"]})] {
            assert!(names("groups", none.clone()).is_empty(), "{none}");
        }
        let plain = of("groups", "", json!({"groups": ["lab"]})).unwrap();
        assert_eq!(
            plain.names.into_iter().collect::<Vec<_>>(),
            ["lab"],
            "as they are, when that was asked for"
        );
    }

    #[test]
    fn a_claim_is_found_by_its_whole_name_and_along_the_way() {
        let roles = json!(["lab"]);
        assert_eq!(names("realm_access.roles", json!({"realm_access": {"roles": roles}})), ["oidc-lab"]);
        assert_eq!(
            names("https://acme.example/groups", json!({"https://acme.example/groups": roles})),
            ["oidc-lab"]
        );
        let client = json!({"resource_access": {"data.example": {"roles": roles}}});
        assert_eq!(names("resource_access.data.example.roles", client), ["oidc-lab"]);
        let both = json!({"a.b": ["whole"], "a": {"b": ["way"]}});
        assert_eq!(names("a.b", both), ["oidc-whole"]);
        for none in
            [json!({"realm_access": ["roles"]}), json!({"realm_access": {}}), json!({"roles": ["lab"]})]
        {
            assert!(names("realm_access.roles", none.clone()).is_empty(), "{none}");
        }
    }

    #[test]
    fn what_is_no_list_of_names_is_refused_with_the_claim_named() {
        for (value, why) in [
            (json!(7), "`realm.groups` of the identity token is a number"),
            (json!(true), "`realm.groups` of the identity token is true or false"),
            (json!({"lab": true}), "`realm.groups` of the identity token is a mapping"),
            (json!(["lab", 7]), "`realm.groups` of the identity token holds a number as a name"),
            (json!([["lab"]]), "`realm.groups` of the identity token holds a list as a name"),
            (json!([null]), "`realm.groups` of the identity token holds null as a name"),
            (json!(vec!["x"; NAMES_MAX + 1]), "names 501 groups, and at most 500"),
        ] {
            let refusal = of("realm.groups", "oidc-", json!({"realm": {"groups": value}})).unwrap_err();
            let told = serde_json::to_string(&refusal.problem).unwrap();
            assert!(refusal.problem.status == 403 && told.contains(why), "{told}");
            assert!(told.contains("identity-groups"), "{told}");
        }
        assert_eq!(names("groups", json!({"groups": vec!["x"; NAMES_MAX]})), ["oidc-x"]);
    }

    #[test]
    fn names_that_no_group_here_can_have_are_counted() {
        let groups = json!({"groups": ["lab", "", "/lab", "Robot Lab", "lab.", "a b", "x".repeat(300)]});
        let groups = of("groups", "oidc-", groups).unwrap();
        assert_eq!((groups.names.len(), groups.n_left_out), (1, 6));
        // Without a prefix a mark cannot stand first either.
        assert_eq!(of("groups", "", json!({"groups": ["-lab", "admins"]})).unwrap().n_left_out, 1);
    }

    #[test]
    fn what_would_name_no_group_is_no_choice() {
        for (claim, prefix, scope) in [
            ("", "oidc-", None),
            (".groups", "oidc-", None),
            ("a..b", "oidc-", None),
            ("groups", "OIDC-", None),
            ("groups", "-", None),
            ("groups", "a/", None),
            ("groups", "oidc-", Some("")),
            ("groups", "oidc-", Some("groups email")),
        ] {
            let err = OidcGroups::new(claim, prefix, scope).unwrap_err();
            assert!(err.kind() == ErrorKind::Config && err.hint().is_some(), "{claim} {prefix}");
        }
    }
}
