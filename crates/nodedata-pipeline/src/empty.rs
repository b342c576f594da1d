use nodedata_core::{
    Result, STEPS,
    placed::{Mistake, mistakes_to_error},
};
use nodedata_dataset::Nulls;
use nodedata_normalize::{FieldFrom, PERIODS_MAX, StepSpec};

/// Refuses fields that no step has a value of, unless they say that this is meant.
///
/// # Errors
/// `Config` with all of them.
pub(crate) fn refuse_empty(spec: &StepSpec, nulls: &Nulls) -> Result<()> {
    let Some(of_steps) = nulls.get(STEPS) else { return Ok(()) };
    let mut mistakes = Vec::new();
    for field in spec.fields.iter().filter(|it| !it.may_be_empty) {
        let from = match &field.from {
            FieldFrom::Paths(paths) => paths.join(", "),
            FieldFrom::Pose(it) => format!("the pose of `{}` in `{}`", it.of, it.within),
            FieldFrom::Constant(_) => continue,
        };
        let Some(count) = of_steps.get(&field.name).filter(|it| it.is_all()) else { continue };
        let message = format!("none of the {} steps has a value of {from}", count.rows);
        let tolerance = field.tolerance.unwrap_or(spec.tolerance);
        let cause = match tolerance.max_ns {
            Some(i64::MAX) => "its messages hold nothing there".to_owned(),
            Some(max_ns) => format!(
                "its messages lie farther than {} ms from the steps (`tolerance_ms`, `time`), or hold nothing there",
                max_ns as f64 / 1e6
            ),
            None => format!(
                "its messages lie farther than {PERIODS_MAX} of their periods from the steps (`tolerance_ms`, `time`), or hold \
                 nothing there"
            ),
        };
        let hint = format!("{cause}; `nullable: always` in the field says that this is meant");
        mistakes.push(Mistake::new(format!("fields.{}", field.name), message).with_hint(hint));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes_to_error(&mistakes, None)) }
}

#[cfg(test)]
mod tests {
    use nodedata_core::ErrorKind;
    use nodedata_dataset::NullCount;
    use nodedata_normalize::{Clock, FieldSpec};

    use super::*;

    #[test]
    fn a_field_without_any_value_must_say_so() {
        let nulls = |n| -> Nulls {
            let count = NullCount { nulls: n, rows: 60 };
            [(STEPS.to_owned(), [("state".to_owned(), count)].into())].into()
        };
        let mut spec = StepSpec::new(Clock::Topic("/cmd".to_owned()));
        spec.fields = vec![FieldSpec::new("state", "/joints.effort"), FieldSpec::new("cmd", "/cmd.data")];
        refuse_empty(&spec, &nulls(59)).unwrap();
        let err = refuse_empty(&spec, &nulls(60)).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Config);
        assert_eq!(err.to_string(), "`fields.state`: none of the 60 steps has a value of /joints.effort");
        assert!(err.hint().is_some_and(|it| it.contains("nullable: always")), "{err:?}");
        spec.fields[0].may_be_empty = true;
        refuse_empty(&spec, &nulls(60)).unwrap();
    }
}
