use std::sync::Arc;

use object_store::{
    ClientConfigKey, Error, ObjectStore, ObjectStoreScheme, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    http::HttpBuilder,
    multipart::MultipartStore,
    path::Path as ObjectPath,
};
use url::{Position, Url};

/// A slow line may need minutes for a large range, where the library would give up after thirty seconds.
const REQUEST_TIMEOUT: &str = "5 minutes";

/// A bucket, or what lies below a web address.
pub struct Bucket {
    /// Its objects.
    pub objects: Arc<dyn ObjectStore>,
    /// Uploads by parts, which a web address does not take.
    pub parts: Option<Arc<dyn MultipartStore>>,
    /// What the URL names inside it.
    pub prefix: ObjectPath,
}

/// Opens `s3://`, `gs://`, `az://` or `http(s)://`; credentials and endpoints come from the environment under the
/// names each cloud's own tools use (`AWS_…`, `GOOGLE_…`, `AZURE_…`). Nothing is asked of it yet. A request is
/// repeated `retries` times when the line or the store fails.
///
/// # Errors
/// When the URL, or what the environment says, cannot be used.
pub fn open_bucket(url: &Url, retries: usize) -> Result<Bucket, Error> {
    // Another part of the process may have installed a provider first: then that one serves.
    drop(rustls::crypto::ring::default_provider().install_default());
    let (scheme, prefix) = ObjectStoreScheme::parse(url)?;
    let retry = RetryConfig { max_retries: retries, ..RetryConfig::default() };
    let timeout = ClientConfigKey::Timeout;
    match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let builder = AmazonS3Builder::from_env().with_url(url.as_str()).with_retry(retry);
            let store = builder.with_config(AmazonS3ConfigKey::Client(timeout), REQUEST_TIMEOUT).build()?;
            Ok(Bucket::of(store, prefix))
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(url.as_str()).with_retry(retry);
            let store = builder.with_config(GoogleConfigKey::Client(timeout), REQUEST_TIMEOUT).build()?;
            Ok(Bucket::of(store, prefix))
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str()).with_retry(retry);
            let store = builder.with_config(AzureConfigKey::Client(timeout), REQUEST_TIMEOUT).build()?;
            Ok(Bucket::of(store, prefix))
        }
        ObjectStoreScheme::Http => {
            let builder = HttpBuilder::new().with_url(&url[..Position::BeforePath]).with_retry(retry);
            let store = builder.with_config(timeout, REQUEST_TIMEOUT).build()?;
            Ok(Bucket { objects: Arc::new(store), parts: None, prefix })
        }
        _ => {
            let message = format!("`{}://` is no store that is spoken to", url.scheme());
            Err(Error::Generic { store: "URL", source: message.into() })
        }
    }
}

impl Bucket {
    fn of<S: ObjectStore + MultipartStore>(store: S, prefix: ObjectPath) -> Self {
        let store = Arc::new(store);
        Self { objects: Arc::clone(&store) as _, parts: Some(store), prefix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_addresses_take_no_parts_and_other_schemes_nothing() {
        let bucket = open_bucket(&Url::parse("http://localhost:1/a/b").unwrap(), 0).unwrap();
        assert_eq!((bucket.prefix.as_ref(), bucket.parts.is_none()), ("a/b", true));
        assert!(open_bucket(&Url::parse("ftp://host/a").unwrap(), 0).is_err());
    }
}
