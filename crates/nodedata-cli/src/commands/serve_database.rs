use nodedata_core::{Error, ErrorKind, Result};
use nodedata_server::DatabaseAddress;

/// Where Postgres' own programs look for a password.
const PASSWORD: &str = "PGPASSWORD";

/// The database of PostgreSQL that is named, with the password of the surroundings.
///
/// # Errors
/// `Config` for what is no address, and for a password in the command line.
pub(super) fn address(named: Option<&str>) -> Result<Option<DatabaseAddress>> {
    let Some(text) = named.filter(|it| !it.is_empty()) else { return Ok(None) };
    let address = DatabaseAddress::parse(text)?;
    // From a variable it is the same text, but in no list of processes.
    let is_typed = std::env::args_os().any(|it| it.to_string_lossy().contains(text));
    if is_typed && address.has_password() {
        let message = "`--database` holds a password, which lists of processes show";
        return Err(Error::new(ErrorKind::Config, message)
            .with_hint("put it into PGPASSWORD, or the whole address into NODEDATA_DATABASE"));
    }
    let password = std::env::var(PASSWORD).ok().filter(|it| !it.is_empty());
    Ok(Some(match password {
        Some(password) => address.or_password(&password),
        None => address,
    }))
}

/// The same where it has to be named.
pub(super) fn expected(named: Option<&str>) -> Result<DatabaseAddress> {
    let hint = "name it: `--database postgres://USER@HOST/NAME`";
    address(named)?.ok_or_else(|| Error::new(ErrorKind::Config, "no database is named").with_hint(hint))
}

/// A backup of such a database is made by Postgres' own programs.
pub(super) fn no_backup() -> Error {
    Error::new(ErrorKind::Config, "a database of PostgreSQL is copied by its own programs").with_hint(
        "run `pg_dump --format custom`, and keep `audit.key`; to put it back stop all servers, run `pg_restore`, then `node-data serve restore --database`",
    )
}
