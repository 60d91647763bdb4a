//! Light, dark, or as the system says: kept in a cookie, so that the server renders the right one.

use crate::browser;
use crate::fail::Fail;
use leptos::form::ActionForm;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    System,
    Light,
    Dark,
}

impl Theme {
    const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    /// The value of `<html data-theme>`.
    #[must_use]
    pub fn attribute(self) -> Option<&'static str> {
        (self != Self::System).then(|| self.name())
    }

    fn parse(text: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|theme| theme.name() == text)
            .unwrap_or(Self::System)
    }
}

/// The theme this visitor chose.
#[must_use]
pub fn chosen() -> Theme {
    Theme::parse(&chosen_name().unwrap_or_default())
}

#[cfg(feature = "ssr")]
fn chosen_name() -> Option<String> {
    let parts = crate::site::parts().ok()?;
    crate::session::cookie(&parts.headers, COOKIE).map(str::to_owned)
}

#[cfg(not(feature = "ssr"))]
fn chosen_name() -> Option<String> {
    browser::root_attribute("data-theme")
}

#[cfg(feature = "ssr")]
const COOKIE: &str = "tollway-theme";
#[cfg(feature = "ssr")]
const YEAR_SECONDS: i64 = 365 * 24 * 60 * 60;

#[server(endpoint = "theme")]
pub async fn choose_theme(theme: Theme) -> Result<(), Fail> {
    crate::site::answer(async {
        crate::session::set_cookie(&*crate::site::site()?, COOKIE, theme.name(), Some(YEAR_SECONDS));
        Ok(())
    })
    .await
}

/// Three buttons; one press is enough, with or without the script.
#[component]
pub fn ThemeChoice() -> impl IntoView {
    let action = ServerAction::<ChooseTheme>::new();
    let initial = chosen();
    let theme = RwSignal::new(initial);
    Effect::new(move |_| {
        if let Some(input) = action.input().get() {
            theme.set(input.theme);
        }
    });
    Effect::new(move |_| browser::set_root_attribute("data-theme", theme.get().attribute()));
    let buttons = Theme::ALL.map(|choice| {
        let is_pressed = move || (theme.get() == choice).to_string();
        view! {
            <button type="submit" name="theme" value=choice.name() aria-pressed=is_pressed>
                {choice.label()}
            </button>
        }
    });
    view! {
        <ActionForm action=action>
            <div class="theme-choice" role="group" aria-label="Colours" data-testid="theme-choice">
                {buttons}
            </div>
        </ActionForm>
    }
}
