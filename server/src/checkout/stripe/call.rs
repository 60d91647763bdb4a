//! One call, repeated with one idempotency key until it is known what became of it.

use super::objects::{Listed, Page, Reading};
use super::{CallError, Stripe};
use std::time::Duration;
use stripe::{IdempotencyKey, RequestStrategy, StripeError, StripeRequest};
use stripe_shared::ApiErrorsType;

const TRIES: u32 = 3;
const RETRY_FIRST: Duration = Duration::from_millis(300);
/// A list that does not end is worse than one that is cut: the next run goes on.
const PAGES_MAX: usize = 100;

impl Stripe {
    /// All objects of a list.
    pub(super) async fn pages<R, T>(&self, request: R, after: fn(R, String) -> R) -> Result<Vec<T>, CallError>
    where
        R: StripeRequest + Clone,
        T: Listed,
        Page<T>: miniserde::Deserialize,
    {
        let (mut all, mut next) = (Vec::new(), request.clone());
        for _ in 0..PAGES_MAX {
            let page: Page<T> = self.call(next, None).await?;
            all.extend(page.data);
            match all.last() {
                Some(last) if page.has_more => next = after(request.clone(), last.id().to_owned()),
                _ => return Ok(all),
            }
        }
        Err(CallError::Failed("a list is too long".to_owned()))
    }

    /// `None` for what does not exist.
    pub(super) async fn find<T: miniserde::Deserialize>(
        &self,
        request: impl StripeRequest,
    ) -> Result<Option<T>, CallError> {
        match self.attempt(&Reading::<_, T>::of(request), None).await {
            Ok(found) => Ok(Some(found)),
            Err(StripeError::Stripe(_, 404)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn call<T: miniserde::Deserialize>(
        &self,
        request: impl StripeRequest,
        key: Option<&str>,
    ) -> Result<T, CallError> {
        Ok(self.attempt(&Reading::<_, T>::of(request), key).await?)
    }

    /// Repeats what failed for a moment, each time with the same key: the library's own repetitions would send none.
    pub(super) async fn attempt<R>(&self, request: &R, key: Option<&str>) -> Result<R::Output, StripeError>
    where
        R: StripeRequest,
        R::Output: miniserde::Deserialize,
    {
        let strategy = match key {
            Some(key) => RequestStrategy::Idempotent(
                IdempotencyKey::new(key).map_err(|error| StripeError::ConfigError(error.to_string()))?,
            ),
            None => RequestStrategy::Once,
        };
        let mut wait = RETRY_FIRST;
        for _ in 1..TRIES {
            match request
                .customize()
                .request_strategy(strategy.clone())
                .send(&self.client)
                .await
            {
                Err(error) if is_passing(&error) => tokio::time::sleep(wait).await,
                other => return other,
            }
            wait *= 2;
        }
        request.customize().request_strategy(strategy).send(&self.client).await
    }
}

/// Whether the same request may fare better in a moment.
fn is_passing(error: &StripeError) -> bool {
    match error {
        StripeError::Stripe(_, status) => matches!(status, 409 | 429 | 500..),
        StripeError::ClientError(_) | StripeError::Timeout => true,
        StripeError::JSONDeserialize(_) | StripeError::ConfigError(_) => false,
    }
}

impl From<StripeError> for CallError {
    fn from(error: StripeError) -> Self {
        let (error, status) = match error {
            StripeError::Stripe(error, status) => (error, status),
            StripeError::JSONDeserialize(problem) => return Self::Unreadable(problem),
            other => return Self::Failed(other.to_string()),
        };
        let message = error.message.unwrap_or_else(|| format!("status {status}"));
        // A wrong key is for the operator to mend, and a key used twice says nothing about the first request.
        let is_refusal = matches!(status, 400 | 402 | 404) && error.type_ != ApiErrorsType::IdempotencyError;
        match is_refusal {
            true => Self::Refused(message),
            false => Self::Failed(format!("{status}: {message}")),
        }
    }
}
