/** The two languages. Both are part of the page, so that a switch shows at once. */
import i18next from 'i18next';
import { initReactI18next } from 'react-i18next';
import en from './en.json';
import ko from './ko.json';

export type Language = 'ko' | 'en';
const KEPT = 'tpm.language';

function kept(): Language {
  try {
    return localStorage.getItem(KEPT) === 'en' ? 'en' : 'ko';
  } catch {
    return 'ko';
  }
}

export function currentLanguage(): Language {
  return i18next.language === 'en' ? 'en' : 'ko';
}

export function switchLanguage(language: Language): void {
  try {
    localStorage.setItem(KEPT, language);
  } catch {
    // A browser that keeps nothing forgets it with the page.
  }
  void i18next.changeLanguage(language);
}

void i18next.use(initReactI18next).init({
  resources: { ko: { translation: ko }, en: { translation: en } },
  lng: kept(),
  fallbackLng: 'ko',
  interpolation: { escapeValue: false },
  returnNull: false,
});

i18next.on('languageChanged', (language) => {
  document.documentElement.lang = language;
});
document.documentElement.lang = i18next.language;

export default i18next;
