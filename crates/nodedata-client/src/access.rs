use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::{Reference, StoreLocation, default_store_folder, http::Token};
use url::Url;

/// Which registry, and who asks it. What is not said is the user's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// A folder, `s3://…`, `gs://…`, `az://…` or `http(s)://…`; the user's own folder when absent.
    pub store: Option<String>,
    /// Who does what is done, and the owner of datasets that are named without one; the user's name when absent.
    pub author: Option<String>,
    /// What a server is sent. When absent, the token in NODEDATA_TOKEN, or the one that `node-data login` keeps for it.
    pub token: Option<Token>,
}

impl Access {
    /// Where nothing is said, what the variables NODEDATA_STORE and NODEDATA_USER say.
    #[must_use]
    pub fn or_environment(self) -> Self {
        Self {
            store: self.store.or_else(|| variable("NODEDATA_STORE")),
            author: self.author.or_else(|| variable("NODEDATA_USER")),
            token: self.token,
        }
    }

    /// With the token that a variable holds, where the registry is a server: nothing else is sent one.
    ///
    /// # Errors
    /// `Config` when the variable is not set, or holds no token; as [`Self::location`].
    pub fn with_token_of(mut self, name: &str) -> Result<Self> {
        if let StoreLocation::Server(_) = self.location()? {
            let text = variable(name).ok_or_else(|| {
                let message = format!("the variable `{name}`, which `publish.token` names, is not set");
                Error::new(ErrorKind::Config, message).with_hint("set it to a token of the server")
            })?;
            self.token = Some(Token::parse(&text)?);
        }
        Ok(self)
    }

    /// Where the registry is.
    ///
    /// # Errors
    /// `Config` for an address that cannot be used, and for a user without a home folder who names none.
    pub fn location(&self) -> Result<StoreLocation> {
        match self.store.as_deref().filter(|it| !it.is_empty()) {
            Some(text) => StoreLocation::parse(text),
            None => default_store_folder().map(StoreLocation::Folder).ok_or_else(|| {
                Error::new(ErrorKind::Config, "there is no home folder to keep a registry in")
                    .with_hint("name one with `--store` or NODEDATA_STORE")
            }),
        }
    }

    /// The same for what is done to the files of a registry, which a server does not let others do.
    ///
    /// # Errors
    /// `Config` for a server; as [`Self::location`].
    pub(crate) fn own_location(&self) -> Result<StoreLocation> {
        match self.location()? {
            StoreLocation::Server(url) => Err(Error::new(ErrorKind::Config, format!("{url} is a server"))
                .with_hint("name the folder or bucket behind it")),
            other => Ok(other),
        }
    }

    /// The name given, or the user's, made to what a dataset's owner may be called.
    pub fn author(&self) -> String {
        let given = self.author.clone().filter(|it| !it.is_empty());
        let named = given.or_else(|| std::env::var("USER").ok()).unwrap_or_default();
        let letter = |it: char| match it.to_ascii_lowercase() {
            it @ ('a'..='z' | '0'..='9' | '_' | '-') => it,
            _ => '-',
        };
        let name: String = named.chars().map(letter).collect();
        let name = name.trim_matches('-');
        if name.is_empty() { "local".to_owned() } else { name.to_owned() }
    }

    /// What a reference means, without opening anything; datasets named without an owner are the author's.
    ///
    /// # Errors
    /// `Config` for what is none.
    pub fn reference(&self, text: &str) -> Result<Reference> {
        Reference::parse(text, &self.author())
    }

    /// The token for a server. It comes from the environment or from a file where none is given, so that no list of
    /// processes shows it.
    #[cfg(feature = "remote")]
    pub(crate) fn token(&self, url: &Url) -> Result<Option<Token>> {
        let kept = || crate::credentials::token_for(&nodedata_registry::http::server_name(url));
        match &self.token {
            Some(token) => Ok(Some(token.clone())),
            None => Ok(kept()?.map(|it| it.token)),
        }
    }

    #[cfg(not(feature = "remote"))]
    pub(crate) fn token(&self, _: &Url) -> Result<Option<Token>> {
        Ok(self.token.clone())
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|it| !it.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(store: &str) -> Access {
        Access { store: Some(store.to_owned()), ..Access::default() }
    }

    #[test]
    fn owners_are_named_as_datasets_may_be() {
        for (given, named) in
            [("Robot Lab", "robot-lab"), ("a_b-9", "a_b-9"), ("--", "local"), ("é", "local")]
        {
            let access = Access { author: Some(given.to_owned()), ..Access::default() };
            assert_eq!(access.author(), named);
            assert_eq!(access.reference("x@1.0.0").unwrap().dataset.to_string(), format!("{named}/x"));
        }
        assert_eq!(at("x").reference("acme/x").unwrap().dataset.owner(), "acme");
    }

    #[test]
    fn a_folder_is_sent_no_token_and_needs_none() {
        let folder = at("some/folder");
        assert_eq!(folder.clone().with_token_of("NODEDATA_NO_SUCH_VARIABLE").unwrap(), folder);
        let err = at("https://host").with_token_of("NODEDATA_NO_SUCH_VARIABLE").unwrap_err();
        assert!(err.to_string().contains("`NODEDATA_NO_SUCH_VARIABLE`"), "{err}");
        assert_eq!(at("https://host").own_location().unwrap_err().kind(), ErrorKind::Config);
        assert_eq!(folder.own_location().unwrap(), StoreLocation::Folder("some/folder".into()));
        assert_eq!(at("ftp://host").location().unwrap_err().kind(), ErrorKind::Config);
    }
}
