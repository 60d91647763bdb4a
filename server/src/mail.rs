//! Sends the mails of the outbox: by SMTP, or into a folder when no SMTP server is configured.

use crate::clock;
use crate::config::Config;
use domain::time::Micros;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::outbox::{self, Mail};
use store::{Store, StoreError};

/// Where mails go.
pub struct Mailer {
    from: Mailbox,
    way: Way,
}

enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("{0:?} is not a sender such as Tollway <no-reply@tollway.example>")]
    Sender(String),
    #[error("the mail cannot be built: {0}")]
    Build(String),
    #[error("the SMTP server refused: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    #[error("cannot write to the outbox folder: {0}")]
    Folder(#[from] std::io::Error),
}

const SENDER: &str = "Tollway <no-reply@localhost>";
const BATCH: i64 = 20;
const SMTP_TIMEOUT: Duration = Duration::from_secs(20);
const RETRY_FIRST_US: i64 = 30 * Micros::SECOND;
const RETRY_LAST_US: i64 = 6 * Micros::HOUR;
/// After about two days a mail is given up.
const ATTEMPTS_MAX: i64 = 16;
const NEVER_US: i64 = 36_500 * Micros::DAY;
/// RFC 5322, 2.1.1.
const LINE_BYTES_MAX: usize = 998;
const ERROR_CHARS_MAX: usize = 300;

impl Mailer {
    /// # Errors
    /// When the configured sender is no address or the SMTP URL makes no sense.
    pub fn new(config: &Config) -> Result<Self, MailError> {
        let sender = config.smtp.as_ref().map_or(SENDER, |smtp| smtp.from.as_str());
        let way = match &config.smtp {
            None => Way::Folder(config.data_dir.join("outbox")),
            Some(smtp) => {
                let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp.url.reveal())?;
                Way::Smtp(transport.timeout(Some(SMTP_TIMEOUT)).build())
            }
        };
        Ok(Self {
            from: sender.parse().map_err(|_| MailError::Sender(sender.to_owned()))?,
            way,
        })
    }

    /// Sends what is due, one batch. Tells whether there may be more.
    ///
    /// # Errors
    /// Of the store only; a mail that cannot be sent is tried again later, less and less often.
    pub async fn deliver(&self, store: &Store) -> Result<bool, StoreError> {
        let mut tx = store.begin().await?;
        let due = outbox::due(&mut tx, clock::now(), BATCH).await?;
        tx.commit().await?;
        for mail in &due {
            let sent = self.send(mail).await;
            let mut tx = store.begin().await?;
            match sent {
                Ok(()) => outbox::mark_sent(&mut tx, &mail.id, clock::now()).await?,
                Err(error) => {
                    tracing::warn!(mail.id = %mail.id, mail.attempts = mail.attempts + 1, error.cause = %error, "a mail was not sent");
                    let cause: String = error.to_string().chars().take(ERROR_CHARS_MAX).collect();
                    outbox::mark_failed(&mut tx, &mail.id, &cause, next_attempt(mail.attempts, clock::now())).await?;
                }
            }
            tx.commit().await?;
        }
        Ok(i64::try_from(due.len()).is_ok_and(|count| count == BATCH))
    }

    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message(&self.from, mail)?;
        match &self.way {
            Way::Smtp(transport) => {
                transport.send(message).await?;
                Ok(())
            }
            Way::Folder(dir) => write(dir, mail, &message).await,
        }
    }
}

fn message(from: &Mailbox, mail: &Mail) -> Result<Message, MailError> {
    let address = mail
        .to
        .as_str()
        .parse()
        .map_err(|error| MailError::Build(format!("recipient: {error}")))?;
    let body = plain(&mail.body);
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, address))
        .subject(mail.subject.as_str())
        .message_id(Some(format!("<{}@{}>", mail.id, from.email.domain())))
        .header(ContentType::TEXT_PLAIN)
        .body(body)
        .map_err(|error| MailError::Build(error.to_string()))
}

/// Unencoded where the lines allow it, so that links in a mail written to a folder can be clicked as they stand.
fn plain(text: &str) -> Body {
    if text.contains('\0') || text.lines().any(|line| line.len() > LINE_BYTES_MAX) {
        return Body::new(text.to_owned());
    }
    let encoding = match text.is_ascii() {
        true => ContentTransferEncoding::SevenBit,
        false => ContentTransferEncoding::EightBit,
    };
    let lines: Vec<&str> = text.lines().collect();
    Body::dangerous_pre_encoded(lines.join("\r\n").into_bytes(), encoding)
}

async fn write(dir: &Path, mail: &Mail, message: &Message) -> Result<(), MailError> {
    tokio::fs::create_dir_all(dir).await?;
    let path = dir.join(format!("{}-{}.eml", mail.created.get(), mail.id));
    Ok(tokio::fs::write(path, message.formatted()).await?)
}

/// 30 s after the first failure, doubling up to six hours; never again after the last attempt.
fn next_attempt(failed_before: i64, now: Micros) -> Micros {
    if failed_before.saturating_add(1) >= ATTEMPTS_MAX {
        return now.plus(NEVER_US);
    }
    let doublings = u32::try_from(failed_before.clamp(0, 20)).unwrap_or(20);
    now.plus(
        RETRY_FIRST_US
            .saturating_mul(2i64.saturating_pow(doublings))
            .min(RETRY_LAST_US),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::account::Email;
    use domain::id::MailId;

    fn mail(body: &str) -> Mail {
        Mail {
            id: MailId::stored("mail_1"),
            to: Email::parse("ada@example.org").unwrap(),
            subject: "Grüße\r\nBcc: eve@example.org".to_owned(),
            body: body.to_owned(),
            created: Micros::new(5),
            sent: None,
            attempts: 0,
        }
    }

    #[test]
    fn links_stay_whole_and_subjects_cannot_add_headers() {
        let link = format!("http://127.0.0.1:3000/verify?token={}", "a".repeat(64));
        let text = message(&SENDER.parse().unwrap(), &mail(&link)).unwrap().formatted();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(&link), "{text}");
        assert!(!text.contains("\nBcc:"), "{text}");
    }

    #[tokio::test]
    async fn without_smtp_a_mail_becomes_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let mailer = Mailer {
            from: SENDER.parse().unwrap(),
            way: Way::Folder(dir.path().join("outbox")),
        };
        mailer.send(&mail("hello")).await.unwrap();
        let text = std::fs::read_to_string(dir.path().join("outbox/5-mail_1.eml")).unwrap();
        assert!(text.contains("To: ada@example.org") && text.ends_with("hello"));
    }

    #[test]
    fn attempts_grow_apart_and_end() {
        let after = |failed| next_attempt(failed, Micros::new(0)).get();
        assert_eq!((after(0), after(1)), (RETRY_FIRST_US, 2 * RETRY_FIRST_US));
        assert_eq!(after(14), RETRY_LAST_US);
        assert_eq!(after(ATTEMPTS_MAX - 1), NEVER_US);
    }
}
