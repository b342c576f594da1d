//! States: small, exact, and held against the stream that goes on from them.

use super::*;

/// The same position in another process: a plan of its own, and the text of the state.
fn resumed(plan: &Plan, position: &Position) -> Position {
    plan.resume(&State::from_json(&plan.state(position).to_json().unwrap()).unwrap()).unwrap()
}

#[test]
fn a_state_is_as_it_is_documented() {
    let plan = Plan::of_source(&request(&[100, 28])).unwrap();
    let text = plan.state(&plan.with_cursor(&plan.start(), 96).unwrap()).to_json().unwrap();
    let (manifest, fields) = ("e8f90a1b".repeat(8), "0a1b2c3d".repeat(8));
    assert_eq!(
        text,
        format!(
            "{{\"nd\":\"stream-state/1\",\"sources\":[{{\"dataset\":\"acme/panda-arm-grasp-100k\",\
             \"revision\":\"1.2.0\",\"manifest\":\"b3:{manifest}\",\"split\":\"train\",\"stream\":\"steps\",\
             \"samples\":128,\"epoch\":0,\"taken\":96}}],\"plan\":{{\"order\":\"lanes/1\",\"seed\":7,\"block\":16,\
             \"lanes\":4,\"window\":32,\"unit\":\"step\",\"fields_hash\":\"b3:{fields}\"}},\"cursor\":96}}"
        )
    );
}

#[test]
fn a_state_is_less_than_a_kibibyte_a_source() {
    let mut request = request(&[100; 50]);
    // The longest names there are, numbers with all digits, and everything said.
    request.id.dataset = format!("{}/{}", "o".repeat(96), "n".repeat(96));
    request.id.revision = "18446744073709551615.18446744073709551615.18446744073709551615".to_owned();
    request.id.stream = "/camera/wrist/color/image_raw/compressed".to_owned();
    (request.order.seed, request.order.epoch) = (u64::MAX, u64::MAX - 1);
    request.selection =
        Selection { drop_first: 10, drop_last: 10, episodes: Some(vec![3, 9]), ..Selection::default() };
    let alone = Plan::of_source(&request).unwrap();
    assert!(alone.state(&alone.start()).to_json().unwrap().len() < 1024);
    let sources = vec![request; 16];
    let options = MixOptions { weights: vec![1.0; 16], seed: u64::MAX, stop: Stop::Longest };
    let mixed = Plan::of_mixture(&sources, &options).unwrap();
    assert!(mixed.state(&mixed.start()).to_json().unwrap().len() < 16 * 1024);
}

#[test]
fn all_that_differs_is_named() {
    let lengths = [100, 28];
    let saved = Plan::of_source(&request(&lengths)).unwrap();
    let state = saved.state(&saved.start());
    let told = |change: &dyn Fn(&mut SourceRequest<'_>)| {
        let mut request = request(&lengths);
        change(&mut request);
        let err = Plan::of_source(&request).unwrap().resume(&state).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::StateMismatch);
        assert!(err.hint().is_some());
        err.to_string()
    };
    assert_eq!(told(&|it| it.order.seed = 8), "the state is of another stream: `seed` was 7 and is 8");
    assert_eq!(
        told(&|it| {
            it.id.manifest = "b3:0".to_owned();
            it.id.split = "val".to_owned();
            (it.order.block, it.order.lanes, it.order.window) = (Some(8), Some(2), Some(64));
            it.fields_hash = "b3:1".to_owned();
        }),
        format!(
            "the state is of another stream: `manifest` was \"b3:{}\" and is \"b3:0\"\n  \
             `split` was \"train\" and is \"val\"\n  `block` was 16 and is 8\n  `lanes` was 4 and is 2\n  \
             `window` was 32 and is 64\n  `fields_hash` was \"b3:{}\" and is \"b3:1\"",
            "e8f90a1b".repeat(8),
            "0a1b2c3d".repeat(8)
        )
    );
    let unshuffled = told(&|it| it.order = OrderOptions::default());
    assert!(
        unshuffled.contains("`order` was \"lanes/1\" and is \"numbered/1\"\n  `seed` was 7 and is nothing")
    );
    assert_eq!(
        told(&|it| it.selection.drop_last = 1),
        "the state is of another stream: `samples` was 128 and is 126\n  `drop_last` was 0 and is 1"
    );
    assert!(
        told(&|it| it.selection.episodes = Some(vec![0])).contains("`episodes` was nothing and is \"b3:")
    );
    let mixed = mixed([&lengths, &lengths], Stop::Longest);
    assert_eq!(
        mixed.resume(&state).unwrap_err().to_string(),
        "the state is of another stream: `number of sources` was 1 and is 2\n  `mixture` was false and is true"
    );
    let other = mixed_by(vec![0.5, 0.5], 4, Stop::Shortest);
    assert_eq!(
        other.resume(&mixed.state(&mixed.start())).unwrap_err().to_string(),
        "the state is of another stream: `mixture: seed` was 3 and is 4\n  \
         `mixture: shares` was [717, 307] and is [512, 512]\n  `mixture: stop` was Longest and is Shortest"
    );
}

fn mixed_by(weights: Vec<f64>, seed: u64, stop: Stop) -> Plan {
    let (one, mut other) = (request(&[100, 28]), request(&[100, 28]));
    (other.order.seed, other.order.epoch) = (8, 5);
    Plan::of_mixture(&[one, other], &MixOptions { weights, seed, stop }).unwrap()
}

#[test]
fn names_may_change_as_long_as_the_manifest_is_the_same() {
    let saved = Plan::of_source(&request(&[100])).unwrap();
    let state = saved.state(&saved.with_cursor(&saved.start(), 7).unwrap());
    let mut request = request(&[100]);
    (request.id.dataset, request.id.revision) = ("mirror/panda".to_owned(), "latest".to_owned());
    assert_eq!(Plan::of_source(&request).unwrap().resume(&state).unwrap().cursor(), 7);
    // All episodes by number are all episodes.
    request.selection.episodes = Some(vec![0]);
    assert!(Plan::of_source(&request).unwrap().resume(&state).is_ok());
}

#[test]
fn an_epoch_goes_on_from_its_state_and_ends_once() {
    let plan = Arc::new(Plan::of_source(&request(&[100, 28])).unwrap());
    let second = plan.next_pass(&plan.start()).unwrap();
    assert_ne!(all(&plan, &plan.start()), all(&plan, &second));
    assert_eq!(resumed(&plan, &second), second);
    // At its end it is at its end: the next one begins when somebody asks for it.
    let end = plan.with_cursor(&second, 128).unwrap();
    assert_eq!(resumed(&plan, &end), end);
    let third = plan.next_pass(&end).unwrap();
    assert!(all(&plan, &third).iter().all(|it| it.epoch == 2));
    assert_eq!(plan.with_cursor(&second, 129).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn a_state_that_contradicts_itself_is_damage() {
    let plan = Plan::of_source(&request(&[100, 28])).unwrap();
    let state = plan.state(&plan.with_cursor(&plan.start(), 5).unwrap());
    let kind = |change: &dyn Fn(&mut State)| {
        let mut state = state.clone();
        change(&mut state);
        plan.resume(&state).unwrap_err().kind()
    };
    assert_eq!(kind(&|it| it.cursor = 6), ErrorKind::Corrupt);
    assert_eq!(kind(&|it| (it.cursor, it.sources[0].taken) = (129, 129)), ErrorKind::Corrupt);
    assert_eq!(kind(&|it| it.plan = None), ErrorKind::Corrupt);
    let mixed = mixed([&[100], &[28]], Stop::Longest);
    let mut state = mixed.state(&mixed.start());
    state.sources[1].taken = 3;
    assert_eq!(mixed.resume(&state).unwrap_err().kind(), ErrorKind::Corrupt);
    let mut state = mixed.state(&mixed.start());
    if let Some(mix) = &mut state.mix {
        mix.pass = u64::MAX;
    }
    assert_eq!(mixed.resume(&state).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn what_is_no_state_is_told_with_its_place() {
    let plan = Plan::of_source(&request(&[5, 5])).unwrap();
    let text = plan.state(&plan.start()).to_json().unwrap();
    let read = |text: &str| State::from_json(text).unwrap_err();
    for text in ["", "[]", "{}", &text[..text.len() - 1], &text.replace("\"cursor\":0", "\"cursor\":-1")] {
        assert_eq!(read(text).kind(), ErrorKind::Corrupt, "{text}");
    }
    let unknown = read(&text.replace("\"cursor\"", "\"curser\":1,\"cursor\""));
    assert!(unknown.chain().contains("unknown field `curser`"), "{}", unknown.chain());
    assert!(unknown.locus().line_column.is_some());
    let newer = read(&text.replace("stream-state/1", "stream-state/2"));
    assert_eq!(newer.kind(), ErrorKind::Unsupported);
}

proptest! {
    #[test]
    fn a_mixture_goes_on_from_any_place(
        one in prop::collection::vec(0_u64..60, 1..6),
        other in prop::collection::vec(0_u64..20, 1..6),
        cursor: u64,
        n_passes in 0_u64..4,
        stop in prop::sample::select(vec![Stop::Longest, Stop::Shortest, Stop::Places(1100)]),
    ) {
        let is_long_enough = |it: &[u64]| it.iter().sum::<u64>() >= 4;
        prop_assume!(is_long_enough(&one) && is_long_enough(&other));
        let plan = Arc::new(mixed([&one, &other], stop));
        let mut position = plan.start();
        for _ in 0..n_passes {
            position = plan.next_pass(&position).unwrap();
        }
        let position = plan.with_cursor(&position, cursor % (plan.n_places() + 1)).unwrap();
        // Another process.
        let again = Arc::new(mixed([&one, &other], stop));
        let resumed = again.resume(&State::from_json(&plan.state(&position).to_json().unwrap()).unwrap()).unwrap();
        prop_assert_eq!(&resumed, &position);
        let rest = position.cursor()..plan.n_places();
        prop_assert_eq!(draws(&again, &resumed, rest.clone()), draws(&plan, &position, rest));
    }

    #[test]
    fn no_text_is_more_than_a_mistake(text in "\\PC*") {
        let _state = State::from_json(&text);
    }
}
