//! Function words of scripts other than the Latin one.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::fold::{Folded, without_accents};

/// By script: Cyrillic (Russian, Ukrainian, Bulgarian), Greek, Arabic (Arabic, Persian, Urdu), Hebrew, Devanagari.
const FUNCTION_WORDS: [&str; 5] = [
    "и в во на с со к ко у о об от до из за по для не ни но а я ты он она мы вы они мне меня мой моя моё мои моего моей моих \
     твой наш его её их это этот эта что как так же бы ли был была было были есть очень тоже только уже при \
     кто где когда почему зачем куда откуда какой какая какое какие чей сколько кого кому чем \
     і й у з зі та але я ти він вона ми ви вони мені мене моя моє мого моєї це що як є був була дуже \
     хто де коли чому куди звідки який яка яке чий скільки кому \
     съм си е са сме аз той тя ние къде кога какво кой как защо",
    "ο η το οι τα του της των τον την στο στη στην στον στους στις ένας μια ένα και ή αλλά εγώ μου σου του μας σας με σε από για \
     είναι είμαι ήταν έχω έχει δεν να θα που ότι πολύ κι \
     ποιος ποια ποιο πού πότε πώς γιατί τι πόσο πόσα πόσες ποιον",
    "في من الى إلى على عن مع أنا انا أنت هو هي نحن هم هذا هذه ذلك التي الذي أن ان كان كانت لا لم ما هل قد لي لدي كل و يا ثم \
     أين اين متى ماذا كيف لماذا كم أي اي \
     در از به با که را این آن من تو او ما شما است بود هست هستم دارم دارد یک برای و تا هم نه \
     کجا کجاست چه چی کی چرا چگونه کدام چند چیست کیست",
    "אני אתה את הוא היא אנחנו הם של שלי שלך שלו שלה עם על אל לא כן גם רק מאוד יש אין זה זאת זו כל כי אבל או היה היתה \
     מי מה איפה מתי למה איך כמה איזה איזו לאן מאין היכן",
    "में से को का की के पर ने है हैं हूँ हूं था थी थे और या लेकिन मैं मैंने मुझे मेरा मेरी मेरे तुम आप वह यह हम हमारा हमारी हमारे उसका उसकी एक भी नहीं \
     बहुत हो कर तो ही \
     कहाँ कहां क्या कौन कौनसा कब क्यों कैसे कैसा कितना कितने कितनी किस किसका किसके",
];

/// In the form that words have here.
static WORDS: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let words = FUNCTION_WORDS.iter().flat_map(|words| words.split_whitespace());
    words.map(|word| without_accents(&Folded::new(word)).into_owned()).collect()
});

/// Whether a word, in lower case and without accents, is a function word of a script other than the Latin one.
pub(super) fn is_function_word(word: &str) -> bool {
    WORDS.contains(word)
}
