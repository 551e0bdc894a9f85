//! Korean words: nouns and verbs without the particles and endings that are glued to them.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::pairs::pairs;
use super::word::Word;
use crate::tokenize::term_id;

/// Particles and endings, which are removed from the end of a word.
const ENDINGS: &str = "은 는 이 가 을 를 에 의 도 로 와 과 만 야 요 \
    에서 에게 한테 께서 에는 에도 으로 이랑 하고 까지 부터 처럼 보다 마다 밖에 이나 이야 예요 이에요 에요 입니다 입니까 \
    에서는 에서도 에게서 한테서 으로는 이라고 라고 이라는 라는 인가요 인가 이죠 \
    다 했다 한다 하다 하는 한 했어 해요 했어요 합니다 했습니다 하고 해서 하러 하기 하면 할까요 하나요 했나요 하셨 하세요 \
    어요 아요 여요 었어요 았어요 였어요 습니다 었습니다 았습니다 였습니다 는다 었다 았다 었던 았던 나요 었나요 았나요 \
    고 며 면 지 지만 으면 려고 으려고 러 으러 어서 아서 는데 은데 던 을까요 세요 으세요 려면 기";
/// Words that are in most questions or say nothing.
const FUNCTION_WORDS: &str = "어디 어디에 어디서 어디에서 어디야 어디예요 무엇 뭐 뭐야 무슨 누구 누가 언제 왜 어떻게 어떤 얼마나 얼마 몇 \
    나 나는 나의 나를 내 내가 저 저는 저의 제 제가 우리 우리는 그 그는 이 것 거 수 안 못 더 좀 잘 있다 있어 있어요 있나요 있었어요 있습니다 \
    없다 없어요 이다 된다 돼요 돼 그리고 그런데 하지만 때 때문에 해 했어 하나요 하니 인가요 있는";

static ENDING_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| ENDINGS.split_whitespace().collect());
/// Number of syllables of the longest ending.
static LONGEST_ENDING: LazyLock<usize> =
    LazyLock::new(|| ENDING_WORDS.iter().map(|ending| syllables(ending)).max().unwrap_or(0));

/// Calls `each` with a word, unless it is a function word.
///
/// The terms are the pairs of syllables of the word without its ending; a syllable that stands alone is a term. For a noun of
/// one syllable with a particle of one ("집에") both readings are kept.
pub(super) fn word(word: &str, each: &mut dyn FnMut(Word)) {
    if FUNCTION_WORDS.split_whitespace().any(|other| other == word) {
        return;
    }
    let base = base(word);
    let mut words: Vec<Word> = Vec::new();
    pairs(base, |pair| words.push(Word::new(pair)));
    if syllables(base) == 2
        && let Some((at, last)) = base.char_indices().nth(1)
        && is_ending(&base[at..at + last.len_utf8()])
    {
        words[0].parts.push(term_id(&base[..at]));
    }
    words.into_iter().for_each(each);
}

/// The word without its endings. Two syllables stay, or one before an ending of two or more.
fn base(word: &str) -> &str {
    let starts: Vec<usize> = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect();
    let mut len = starts.len() - 1;
    let shorter = |len: usize| {
        (len.saturating_sub(*LONGEST_ENDING).max(1)..len)
            .find(|&base| (base > 1 || len - base > 1) && is_ending(&word[starts[base]..starts[len]]))
    };
    while let Some(base) = shorter(len) {
        len = base;
    }
    &word[..starts[len]]
}

fn is_ending(text: &str) -> bool {
    ENDING_WORDS.contains(text)
}

fn syllables(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn particles_and_endings_are_removed() {
        for (word, expected) in [
            ("고양이가", "고양"),
            ("고양이를", "고양"),
            ("고양이", "고양"),
            ("서울에서", "서울"),
            ("먹었어요", "먹"),
            ("좋아합니다", "좋아"),
            ("좋아하는", "좋아"),
            ("집에서", "집"),
            ("집에", "집에"),
        ] {
            assert_eq!(base(word), expected, "{word}");
        }
    }
}
