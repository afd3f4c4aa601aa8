//! How a client is set up, where the server asks who it is.

use crate::{Client, Error};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use watersmeet_crdt::session::Token;

/// Why there is no token.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Provider = dyn Fn() -> BoxFuture<'static, Result<String, Failure>> + Send + Sync;

/// Where tokens come from.
#[derive(Clone, Default)]
pub(crate) enum Tokens {
    #[default]
    None,
    One(Token),
    From(Arc<Provider>),
}

impl Tokens {
    /// One that is valid now, as far as they know.
    pub(crate) async fn next(&self) -> Result<Token, Error> {
        match self {
            Tokens::None => Ok(Token::default()),
            Tokens::One(token) => Ok(token.clone()),
            Tokens::From(provider) => provider().await.map(Token::from).map_err(Error::NoToken),
        }
    }
}

/// A client that is being set up: [`Client::builder`].
///
/// ```no_run
/// use watersmeet_client::Client;
///
/// /// Another program writes it anew before it expires.
/// async fn ask_the_portal() -> std::io::Result<String> {
///     std::fs::read_to_string("/run/portal/token")
/// }
///
/// # async fn example() -> Result<(), watersmeet_client::Error> {
/// let client = Client::builder("wss://maps.example/sync").token("eyJhbGciOi…").connect().await?;
/// // Or one that is fetched anew for each connection, since tokens expire:
/// let client = Client::builder("wss://maps.example/sync").token_from(ask_the_portal).connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "it is connected by `connect` or `start`"]
pub struct Builder {
    url: String,
    tokens: Tokens,
    redirects: bool,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        Builder { url: url.to_owned(), tokens: Tokens::None, redirects: true }
    }

    /// The token that proves to the server who this is.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.tokens = Tokens::One(Token::from(token));
        self
    }

    /// What is asked for a token before each attempt to connect. If it fails, so does the attempt.
    pub fn token_from<F, E>(mut self, provider: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Failure>,
    {
        self.tokens =
            Tokens::From(Arc::new(move || provider().map(|token| token.map_err(Into::into)).boxed()));
        self
    }

    /// Whether to go where a server that drains says, which is shown the token, too. It does, unless told not to; but
    /// never from `wss` to `ws`, and only until it has connected again.
    pub fn follow_redirects(mut self, follow: bool) -> Self {
        self.redirects = follow;
        self
    }

    /// As [`Client::connect`].
    ///
    /// # Errors
    /// If the first attempt fails: the URL is wrong, nobody answers, what answers is no sync server, or it does not let
    /// us in.
    pub async fn connect(self) -> Result<Client, Error> {
        let (client, first) = Client::spawn(&self.url, self.tokens, self.redirects)?;
        first.await.map_err(|_| Error::Stopped)??;
        Ok(client)
    }

    /// As [`Client::start`]. Must be called in a Tokio runtime.
    ///
    /// # Errors
    /// If the URL is wrong.
    pub fn start(self) -> Result<Client, Error> {
        Ok(Client::spawn(&self.url, self.tokens, self.redirects)?.0)
    }
}

/// Tokens stay out of logs.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("url", &self.url).finish_non_exhaustive()
    }
}
