use chrono::Duration;
use proptest::prelude::*;

use super::*;

fn at(days: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + Duration::days(days)
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn policy() -> B3 {
    B3::of(b"the text")
}

fn requested() -> Case {
    let subject = Subject { user: "u".to_owned(), name: "R. Buyer".to_owned(), ..Subject::default() };
    let purpose = Purpose { duo: Vec::new(), text: "grasping".to_owned() };
    let dataset = "acme/x".parse().unwrap();
    let asked = (subject, purpose, Vec::new());
    Case::request("a1".to_owned(), dataset, &version("1.2.0"), policy(), asked, at(0)).unwrap()
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (1..100u32).prop_map(|valid_days| Action::Grant { valid_days }),
        Just(Action::Deny),
        Just(Action::Revoke),
        Just(Action::Reset),
    ]
}

proptest! {
    /// Whatever is done in whatever order: access is open exactly while the last thing that was done is a
    /// grant whose time is not over, history only grows, and what is refused changes nothing.
    #[test]
    fn only_a_live_grant_opens(steps in prop::collection::vec((action(), 0..60i64), 1..20)) {
        let mut it = requested();
        let mut day = 0;
        let mut open_until = None;
        for (action, days) in steps {
            day += days;
            let before = it.clone();
            let was_open = it.covers(&version("1.0.0"), &policy(), at(day)).is_ok();
            prop_assert_eq!(was_open, open_until.is_some_and(|until| day < until));
            match it.act(action, Some("owner"), None, at(day)) {
                Ok(()) => {
                    prop_assert_eq!(it.0.history.len(), before.0.history.len() + 1);
                    prop_assert_eq!(&it.0.history[..before.0.history.len()], before.0.history);
                    prop_assert_eq!(it.0.history.last().unwrap().to, it.0.state);
                    open_until = match action {
                        Action::Grant { valid_days } => Some(day + i64::from(valid_days)),
                        _ => None,
                    };
                    if let Action::Revoke = action {
                        prop_assert!(was_open);
                    }
                }
                Err(err) => {
                    prop_assert_eq!(err.kind(), ErrorKind::Conflict);
                    prop_assert_eq!(&it, &before);
                }
            }
            let is_open = it.covers(&version("1.0.0"), &policy(), at(day)).is_ok();
            prop_assert_eq!(is_open, open_until.is_some_and(|until| day < until));
        }
    }

    /// No grant comes out of a state in which somebody said no, but by a new request.
    #[test]
    fn a_no_stays(steps in prop::collection::vec(action(), 1..20), revoke in any::<bool>()) {
        let mut it = requested();
        if revoke {
            it.act(Action::Grant { valid_days: 10 }, None, None, at(0)).unwrap();
            it.act(Action::Revoke, None, None, at(0)).unwrap();
        } else {
            it.act(Action::Deny, None, None, at(0)).unwrap();
        }
        for action in steps {
            drop(it.act(action, None, None, at(1)));
            prop_assert!(it.covers(&version("1.2.0"), &policy(), at(1)).is_err());
        }
    }
}

#[test]
fn a_grant_is_for_one_text_one_major_number_and_a_time() {
    let mut it = requested();
    assert_eq!(it.covers(&version("1.2.0"), &policy(), at(0)), Err(Refusal::Pending));
    it.act(Action::Grant { valid_days: 365 }, Some("owner"), None, at(1)).unwrap();
    for covered in ["1.0.0", "1.2.0", "1.99.3", "1.5.0-rc.1"] {
        assert_eq!(it.covers(&version(covered), &policy(), at(2)), Ok(()), "{covered}");
    }
    assert_eq!(it.covers(&version("2.0.0"), &policy(), at(2)), Err(Refusal::OtherRevision));
    assert_eq!(it.covers(&version("2.0.0-rc.1"), &policy(), at(2)), Err(Refusal::OtherRevision));
    assert_eq!(it.covers(&version("1.2.0"), &B3::of(b"new text"), at(2)), Err(Refusal::OtherText));
    assert_eq!(it.covers(&version("1.2.0"), &policy(), at(365)), Ok(()));
    assert_eq!(it.covers(&version("1.2.0"), &policy(), at(366)), Err(Refusal::Expired));
    let text = serde_json::to_string(&it).unwrap();
    assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), it);
}

#[test]
fn asking_again() {
    let ask = |it: &Case, revision: &str, policy: &B3, days| {
        may_request(std::slice::from_ref(it), &version(revision), policy, at(days)).is_ok()
    };
    let mut it = requested();
    assert!(may_request(&[], &version("1.0.0"), &policy(), at(0)).is_ok());
    assert!(!ask(&it, "1.0.0", &policy(), 0));
    it.act(Action::Grant { valid_days: 10 }, None, None, at(0)).unwrap();
    assert!(!ask(&it, "1.0.0", &policy(), 0));
    assert!(ask(&it, "2.0.0", &policy(), 0), "a new major number");
    assert!(ask(&it, "1.0.0", &B3::of(b"new"), 0), "a new text");
    assert!(ask(&it, "1.0.0", &policy(), 10), "expired");
    it.act(Action::Revoke, None, None, at(1)).unwrap();
    assert!(!ask(&it, "1.0.0", &policy(), 20));
    assert!(!ask(&it, "1.0.0", &B3::of(b"new"), 20), "a new text does not undo a no");
    it.act(Action::Reset, None, None, at(2)).unwrap();
    assert!(ask(&it, "1.0.0", &policy(), 20));
}

#[test]
fn a_request_for_another_major_number_or_text_leaves_a_grant_alone() {
    let ask = |revision: &str, text: &[u8]| {
        let mut it = requested();
        it.0.revisions = same_major(&version(revision));
        it.0.policy = B3::of(text);
        it
    };
    let granted = |mut it: Case| {
        it.act(Action::Grant { valid_days: 30 }, Some("owner"), None, at(0)).unwrap();
        it
    };
    let open = |cases: &[Case], revision: &str| {
        opening(cases, &version(revision), &policy(), at(1)).map(|it| it.0.revisions.to_string())
    };
    let one = granted(ask("1.2.0", b"the text"));
    let two = ask("2.0.0", b"the text");
    assert_eq!(open(&[], "1.0.0"), Err(Refusal::NotRequested));
    assert_eq!(open(&[two.clone(), one.clone()], "1.0.0"), Ok(">=1.0.0, <2.0.0".to_owned()));
    assert_eq!(open(&[two.clone(), one.clone()], "2.0.0"), Err(Refusal::Pending));
    assert_eq!(open(std::slice::from_ref(&one), "2.0.0"), Err(Refusal::OtherRevision));
    let other_text = ask("1.0.0", b"other text");
    assert!(open(&[other_text.clone(), one.clone()], "1.0.0").is_ok(), "asked for another text as well");
    assert_eq!(open(&[granted(other_text.clone())], "1.0.0"), Err(Refusal::OtherText));
    // A no is one, whatever text it is about.
    let mut no = other_text;
    no.act(Action::Deny, Some("owner"), None, at(0)).unwrap();
    assert_eq!(open(&[no.clone(), one.clone()], "1.0.0"), Err(Refusal::Denied));
    let mut revoked = granted(ask("2.0.0", b"the text"));
    revoked.act(Action::Revoke, Some("owner"), None, at(0)).unwrap();
    assert!(open(&[revoked.clone(), one.clone()], "1.0.0").is_ok());
    let may =
        |cases: &[Case], revision: &str| may_request(cases, &version(revision), &policy(), at(1)).is_ok();
    assert!(!may(&[two.clone(), one.clone()], "1.0.0"), "granted already");
    assert!(!may(&[one.clone(), two], "2.0.0"), "asked already");
    assert!(!may(&[one, revoked], "2.0.0"), "revoked, though another was granted since");
}
