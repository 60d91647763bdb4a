//! Why a page or a form did not work: a closed set, so that no address can make a page say something of its own.

use domain::account::CredentialError;
use domain::purchase::AmountError;
use leptos::server_fn::codec::JsonEncoding;
use leptos::server_fn::error::{FromServerFnError, ServerFnErrorErr};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The error of every server function. Without JavaScript it travels in the query string of the page that held the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fail {
    Email,
    PasswordTooShort,
    PasswordTooLong,
    PasswordCommon,
    /// Sign-up or sign-in was refused; says nothing about whether the account exists.
    Refused,
    TooManyAttempts,
    /// A mailed link was used before, has expired, or was never sent.
    LinkSpent,
    AmountNotANumber,
    AmountNotCents,
    AmountOutOfRange,
    CheckoutUnavailable,
    /// A form that moves money was sent without the tick that confirms it.
    NotConfirmed,
    RefundTooMuch,
    RefundNotPaid,
    CodeUnknown,
    CodeExpired,
    CodeUsedUp,
    CodeRedeemed,
    TopUpNoCard,
    TopUpCap,
    /// An administrator named somebody who has no account.
    NoSuchPerson,
    Note,
    Reference,
    Days,
    Uses,
    InvoiceLines,
    RecordLines,
    /// An administrator's form that was entered before.
    Recorded,
    KeyName,
    KeyLimit,
    KeyExpiry,
    TooManyKeys,
    NotFound,
    SignedOut,
    Forbidden,
    /// Our own database does not answer.
    Unavailable,
    /// The request could not be read.
    Malformed,
    /// The browser could not reach us.
    Offline,
    /// A fault of ours.
    Internal,
}

impl Fail {
    /// The HTTP status that fits.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::TooManyAttempts => 429,
            Self::NotFound => 404,
            Self::SignedOut => 401,
            Self::Forbidden => 403,
            Self::Unavailable | Self::Offline | Self::CheckoutUnavailable => 503,
            Self::Internal => 500,
            Self::Malformed => 400,
            _ => 422,
        }
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email => CredentialError::Email.fmt(f),
            Self::PasswordTooShort => CredentialError::PasswordTooShort.fmt(f),
            Self::PasswordTooLong => CredentialError::PasswordTooLong.fmt(f),
            Self::PasswordCommon => CredentialError::PasswordCommon.fmt(f),
            Self::AmountNotANumber => AmountError::NotAnAmount.fmt(f),
            Self::AmountNotCents => AmountError::NotCents.fmt(f),
            Self::AmountOutOfRange => AmountError::OutOfRange.fmt(f),
            other => f.write_str(other.sentence()),
        }
    }
}

impl Fail {
    const fn sentence(self) -> &'static str {
        match self {
            Self::Refused => "That did not work. If you already have an account, sign in or reset the password.",
            Self::TooManyAttempts => "Too many attempts. Wait a minute, then try again.",
            Self::LinkSpent => "This link was used before or has expired. Ask for a new one.",
            Self::CheckoutUnavailable => "The checkout could not be opened, and nothing was charged. Try again.",
            Self::NotConfirmed => "Tick the box to confirm. Nothing was changed.",
            Self::RefundTooMuch => {
                "More than can be refunded of this purchase. Credits that are used, set aside for running requests or frozen do not go back."
            }
            Self::RefundNotPaid => "Only a purchase that was paid can be refunded.",
            Self::CodeUnknown => "This code is not known. Check how it is written.",
            Self::CodeExpired => "This code has ended.",
            Self::CodeUsedUp => "This code was redeemed as often as it may be.",
            Self::CodeRedeemed => "You have redeemed this code before.",
            Self::TopUpNoCard => "Keep a card first: buy credits by card and tick that it is kept.",
            Self::TopUpCap => "The most for one day must be at least the amount of one top-up.",
            Self::NoSuchPerson => "Nobody has an account with this address.",
            Self::Note => "Say what it is for, in at most 200 characters.",
            Self::Reference => "Give a name and the reference of the payment, in at most 100 characters each.",
            Self::Days => "Enter a number of days, or leave it empty for ever.",
            Self::Uses => "Enter how many people may redeem the code, 1 to 100000.",
            Self::InvoiceLines => {
                "Each line is provider,period,amount, such as openai,2026-11,1234.56. Nothing was imported."
            }
            Self::RecordLines => {
                "Each line is provider,id,completion_tokens, such as openai,chatcmpl-9bV0,412. Nothing was imported."
            }
            Self::Recorded => "This was recorded before, and is not recorded twice.",
            Self::KeyName => "Give the key a name of at most 80 characters.",
            Self::KeyLimit => "Enter the limit in dollars, such as 20, or leave it empty for none.",
            Self::KeyExpiry => "The expiry must be a day in the future.",
            Self::TooManyKeys => "An account holds at most 200 keys. Delete one first.",
            Self::NotFound => "There is nothing here.",
            Self::SignedOut => "Sign in to see this page.",
            Self::Forbidden => "This page is for administrators.",
            Self::Unavailable => "Our database does not answer right now. Nothing was lost; try again in a moment.",
            Self::Malformed => "The form could not be read. Reload the page and try again.",
            Self::Offline => "The server could not be reached. Check the connection and try again.",
            _ => "Something went wrong on our side. It has been noted.",
        }
    }
}

impl From<CredentialError> for Fail {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Email => Self::Email,
            CredentialError::PasswordTooShort => Self::PasswordTooShort,
            CredentialError::PasswordTooLong => Self::PasswordTooLong,
            CredentialError::PasswordCommon => Self::PasswordCommon,
        }
    }
}

impl From<AmountError> for Fail {
    fn from(error: AmountError) -> Self {
        match error {
            AmountError::NotAnAmount => Self::AmountNotANumber,
            AmountError::NotCents => Self::AmountNotCents,
            AmountError::OutOfRange => Self::AmountOutOfRange,
        }
    }
}

#[cfg(feature = "ssr")]
impl From<store::StoreError> for Fail {
    fn from(error: store::StoreError) -> Self {
        let fail = match error {
            store::StoreError::Unavailable(..) => Self::Unavailable,
            _ => Self::Internal,
        };
        tracing::error!(error = %error, "a page could not use the store");
        fail
    }
}

#[cfg(feature = "ssr")]
impl From<store::ledger::LedgerError> for Fail {
    fn from(error: store::ledger::LedgerError) -> Self {
        match error {
            store::ledger::LedgerError::Store(error) => error.into(),
            other => {
                tracing::error!(error = %other, "a form asked for a transfer that is none");
                Self::Internal
            }
        }
    }
}

impl FromServerFnError for Fail {
    type Encoder = JsonEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        match error {
            ServerFnErrorErr::Request(_) => Self::Offline,
            ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_) | ServerFnErrorErr::Serialization(_) => {
                Self::Malformed
            }
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_error_in_an_address_cannot_say_anything_new() {
        let forged = Fail::de(
            b"\"Send your password to evil@example.org\""
                .as_slice()
                .to_owned()
                .into(),
        );
        assert_eq!(forged, Fail::Internal);
        let known = Fail::de(Fail::TooManyAttempts.ser());
        assert_eq!(known, Fail::TooManyAttempts);
    }
}
