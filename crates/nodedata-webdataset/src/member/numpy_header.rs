/// What a NumPy header says: a Python literal with three keys.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) descr: Option<String>,
    pub(super) is_fortran: Option<bool>,
    pub(super) shape: Option<Vec<u64>>,
}

/// Nesting of what is passed over.
const DEPTH_MAX: u32 = 64;

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`. The type of records, which is a list, is taken as the text
/// that it is.
pub(super) fn parse(text: &str) -> Option<Described> {
    let mut reader = Reader { rest: text.trim() };
    let mut found = Described::default();
    reader.take("{")?;
    while reader.take("}").is_none() {
        let key = reader.text()?;
        reader.take(":")?;
        match key {
            "descr" => found.descr = Some(reader.type_text()?.to_owned()),
            "fortran_order" => {
                let is_fortran = reader.take("True").is_some();
                if !is_fortran {
                    reader.take("False")?;
                }
                found.is_fortran = Some(is_fortran);
            }
            "shape" => found.shape = Some(reader.shape()?),
            _ => return None,
        }
        if reader.take(",").is_none() {
            reader.take("}")?;
            break;
        }
    }
    reader.rest.is_empty().then_some(found)
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn take(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(token)?.trim_start();
        Some(())
    }

    /// A text in quotes; nothing that NumPy writes has to be escaped.
    fn text(&mut self) -> Option<&'t str> {
        let quote = self.rest.chars().next().filter(|it| matches!(it, '\'' | '"'))?;
        let inner = &self.rest[1..];
        let end = inner.find(quote)?;
        let text = &inner[..end];
        self.rest = inner[end + 1..].trim_start();
        (!text.contains('\\')).then_some(text)
    }

    /// A text, or a list of anything.
    fn type_text(&mut self) -> Option<&'t str> {
        if !self.rest.starts_with('[') {
            return self.text();
        }
        let (mut depth, mut quote) = (0u32, None);
        for (at, it) in self.rest.char_indices() {
            match (quote, it) {
                (Some(open), it) if it == open => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(it),
                (None, '[' | '(') => depth += 1,
                (None, ']' | ')') => depth = depth.checked_sub(1)?,
                (None, _) => {}
            }
            if depth == 0 || DEPTH_MAX < depth {
                let (text, rest) = self.rest.split_at(at + it.len_utf8());
                self.rest = rest.trim_start();
                return (depth == 0).then_some(text);
            }
        }
        None
    }

    fn shape(&mut self) -> Option<Vec<u64>> {
        self.take("(")?;
        let mut shape = Vec::new();
        while self.take(")").is_none() {
            let n = self.rest.find(|it: char| !it.is_ascii_digit())?;
            shape.push(self.rest[..n].parse().ok()?);
            // As Python 2 wrote numbers.
            self.rest = self.rest[n..].strip_prefix('L').unwrap_or(&self.rest[n..]).trim_start();
            if self.take(",").is_none() {
                self.take(")")?;
                break;
            }
        }
        Some(shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, descr: &str, is_fortran: bool, shape: &[u64]) {
        let shape = Some(shape.to_vec());
        let expected = Described { descr: Some(descr.to_owned()), is_fortran: Some(is_fortran), shape };
        assert_eq!(parse(text), Some(expected), "{text}");
    }

    #[test]
    fn headers_are_python_literals() {
        check("{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }          \n", "<f4", false, &[7]);
        check("{'descr':'|u1','fortran_order':True,'shape':(3, 4)}", "|u1", true, &[3, 4]);
        check("{\"shape\": (), \"descr\": \"<i8\", \"fortran_order\": False}", "<i8", false, &[]);
        check("{'descr': '<f8', 'fortran_order': False, 'shape': (3L, 0L), }", "<f8", false, &[3, 0]);
        let records = "[('a', '<f4'), ('b]', '<i2', (2,))]";
        check(
            &format!("{{'descr': {records}, 'fortran_order': False, 'shape': (1,)}}"),
            records,
            false,
            &[1],
        );
        for text in [
            "",
            "{",
            "{'descr': '<f4'",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': 7}",
            "{'descr': '<f4', 'more': 1}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("{{'descr': {}", "[".repeat(100_000))), None);
    }
}
