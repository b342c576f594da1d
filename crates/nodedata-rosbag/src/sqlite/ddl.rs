//! The columns of a table, from the text that made it.

/// What the text of a table says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) names: Vec<String>,
    /// The column that is another name of the rowid, and stored as null.
    pub(crate) rowid: Option<usize>,
    /// Rows lie in an index, which is another layout.
    pub(crate) without_rowid: bool,
    /// Columns declared as `INTEGER`, which a primary key of one column makes another name of the rowid.
    integers: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Mark(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(it) if it.eq_ignore_ascii_case(word))
    }
}

impl Columns {
    /// The columns of `CREATE TABLE …`; `None` where there are none.
    pub(crate) fn parse(sql: &str) -> Option<Self> {
        let tokens = tokens(sql);
        let open = tokens.iter().position(|it| *it == Token::Mark('('))?;
        let mut columns = Self::default();
        let mut depth = 0usize;
        let mut item: Vec<&Token> = Vec::new();
        for (idx, token) in tokens.iter().enumerate().skip(open + 1) {
            match token {
                Token::Mark(')') if depth == 0 => {
                    columns.add(&item);
                    let tail = &tokens[idx + 1..];
                    columns.without_rowid =
                        tail.windows(2).any(|it| it[0].is("without") && it[1].is("rowid"));
                    return Some(columns);
                }
                Token::Mark(',') if depth == 0 => columns.add(&std::mem::take(&mut item)),
                Token::Mark('(') => depth += 1,
                Token::Mark(')') => depth -= 1,
                _ if depth == 0 => item.push(token),
                // `PRIMARY KEY (id)` names its columns inside.
                _ if item.first().is_some_and(|it| it.is("primary") || it.is("constraint")) => {
                    item.push(token);
                }
                _ => {}
            }
        }
        None
    }

    fn add(&mut self, item: &[&Token]) {
        let Some(first) = item.first() else { return };
        let primary = item.windows(2).position(|it| it[0].is("primary") && it[1].is("key"));
        if ["constraint", "primary", "unique", "check", "foreign"].iter().any(|it| first.is(it)) {
            let named = primary.map(|at| &item[at + 2..]);
            if let Some([Token::Word(name) | Token::Quoted(name)]) = named {
                self.rowid = self.position(name).filter(|it| self.integers.contains(it)).or(self.rowid);
            }
            return;
        }
        let (Token::Word(name) | Token::Quoted(name)) = first else { return };
        let is_integer = item.get(1).is_some_and(|it| it.is("integer"));
        if is_integer {
            self.integers.push(self.names.len());
        }
        if is_integer && primary.is_some_and(|at| !item.get(at + 2).is_some_and(|it| it.is("desc"))) {
            self.rowid = Some(self.names.len());
        }
        self.names.push(name.clone());
    }

    /// The position of a column.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|it| it.eq_ignore_ascii_case(name))
    }
}

fn tokens(sql: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = sql.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            '-' if rest.peek() == Some(&'-') => while rest.next().is_some_and(|it| it != '\n') {},
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                let mut last = ' ';
                for it in rest.by_ref() {
                    if last == '*' && it == '/' {
                        break;
                    }
                    last = it;
                }
            }
            '"' | '\'' | '`' | '[' => {
                let end = if first == '[' { ']' } else { first };
                let mut text = String::new();
                while let Some(it) = rest.next() {
                    if it != end {
                        text.push(it);
                    } else if end != ']' && rest.peek() == Some(&end) {
                        text.extend(rest.next());
                    } else {
                        break;
                    }
                }
                tokens.push(Token::Quoted(text));
            }
            it if it.is_whitespace() => {}
            it if is_word(it) => {
                let mut word = String::from(it);
                while let Some(it) = rest.next_if(|it| is_word(*it)) {
                    word.push(it);
                }
                tokens.push(Token::Word(word));
            }
            it => tokens.push(Token::Mark(it)),
        }
    }
    tokens
}

fn is_word(it: char) -> bool {
    it.is_alphanumeric() || it == '_' || it == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_as_sqlite_reads_them() {
        let columns = |sql: &str| {
            let found = Columns::parse(sql)?;
            Some((found.names.join(" "), found.rowid, found.without_rowid))
        };
        let told = |names: &str, rowid, without| Some((names.to_owned(), rowid, without));
        assert_eq!(
            columns(
                "CREATE TABLE messages(id INTEGER PRIMARY KEY,topic_id INTEGER NOT NULL,\n  timestamp INTEGER NOT \
                 NULL, data BLOB NOT NULL)"
            ),
            told("id topic_id timestamp data", Some(0), false)
        );
        assert_eq!(
            columns(
                "create table \"a (b\"(/* , */ [x y] TEXT DEFAULT (1, 2) -- c, d\n, `z``` integer primary key desc, \
                 \"q\" INT PRIMARY KEY, UNIQUE (q), check (z > 0)) without rowid"
            ),
            told("x y z` q", None, true)
        );
        assert_eq!(
            columns("CREATE TABLE t(a TEXT, id INTEGER, CONSTRAINT k PRIMARY KEY (id))"),
            told("a id", Some(1), false)
        );
        assert_eq!(columns("CREATE TABLE t(id INTEGER, b, PRIMARY KEY(id, b))"), told("id b", None, false));
        assert_eq!(columns("CREATE TABLE t AS SELECT 1"), None);
        assert_eq!(columns("CREATE TABLE t(a, b"), None);
    }
}
