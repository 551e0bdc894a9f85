//! Scripts without spaces between words: overlapping pairs of characters, without particles and question words.
//!
//! Lucene's `CJKBigramFilter` indexes the same pairs, and with them single characters, if configured so.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use super::fold::Folded;
use super::word::Word;
use crate::tokenize::term_id;

/// Hiragana that follow a word or end a sentence: particles, forms of "to be", question words.
const KANA: &str = "は が を に で と も の へ や か ね よ な だ から まで より には では とは にも のは のが って など だけ \
    です ます でした ました ません ですか ますか でしたか ましたか ませんか でしょう だった ない \
    あります ありますか ある います いますか いる いました しています していますか している してます した して する します しますか しました しましたか \
    どこ どこに どこで どこへ どこの なに なにを なん いつ だれ だれと だれの なぜ どう どうして どれ どの どんな いくつ いくら どちら どのくらい \
    この その あの これ それ あれ ここ そこ こと もの とき ください たい";
/// Question words that are cut out.
const HAN: &str = "什么时候 什麼時候 为什么 為什麼 是不是 有没有 有沒有 什么 什麼 怎么样 怎麼樣 怎么 怎麼 怎样 怎樣 哪里 哪裡 哪儿 哪兒 哪个 \
    哪個 哪些 哪家 哪天 多少 几点 幾點 几个 幾個 何時 何処 我们 我們 他们 他們";
/// Han characters that are in most sentences: alone they say nothing.
const COMMON_HAN: &str = "的了吗嗎呢吧啊是在我你您他她它们們这這那哪谁誰何有和与與也都很就不没沒到会會要想把被给給对對从從个個之其私僕君彼着過过";
/// Words of Thai, Lao, Khmer and Burmese that are in most questions or say nothing.
const INDOCHINA: &str = "ที่ไหน เมื่อไหร่ เมื่อไร อะไร ใคร ทำไม อย่างไร ยังไง เท่าไหร่ เท่าไร กี่ ไหม ครับ ค่ะ คะ ของฉัน ของผม ฉัน ผม ของ ที่ และ คือ \
    อยู่ใส หยัง ใผ ແມ່ນຫຍັງ ຢູ່ໃສ ຫຍັງ ໃຜ ເມື່ອໃດ ຂອງຂ້ອຍ ຂ້ອຍ ຂອງ ແມ່ນ ບໍ່ \
    នៅឯណា នៅណា អ្វី នរណា ពេលណា ហេតុអ្វី ប៉ុន្មាន របស់ខ្ញុំ ខ្ញុំ របស់ ជា និង \
    ဘယ်မှာ ဘာလဲ ဘယ်သူ ဘယ်တော့ ဘာကြောင့် လဲ ကျွန်တော် ကျွန်မ သည် တယ် မှာ ကို";

static KANA_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| KANA.split_whitespace().collect());
/// Number of characters of the longest of them: a run of hiragana may be as long as a text.
static LONGEST_KANA: LazyLock<usize> =
    LazyLock::new(|| KANA_WORDS.iter().map(|word| word.chars().count()).max().unwrap_or(0));
/// In the form that texts have here: without tone marks.
static INDOCHINA_WORDS: LazyLock<Vec<String>> =
    LazyLock::new(|| INDOCHINA.split_whitespace().map(|word| Folded::new(word).to_string()).collect());

/// Calls `each` with the words of a run of Han characters and kana.
pub(super) fn han_and_kana(run: &str, each: &mut dyn FnMut(Word)) {
    let chars: Vec<char> = run.chars().collect();
    let mut cut = vec![false; chars.len()];
    for word in HAN.split_whitespace() {
        cut_out(&chars, &word.chars().collect::<Vec<_>>(), &mut cut);
    }
    let mut at = 0;
    while at < chars.len() {
        let len = chars[at..].iter().take_while(|&&c| is_hiragana(c)).count();
        if len > 0 {
            cut_kana(&chars, at..at + len, &mut cut);
        }
        at += len.max(1);
    }
    let is_content = |at: usize| !cut[at] && !COMMON_HAN.contains(chars[at]);
    let bridges = |left: usize, right: usize| right < chars.len() && !cut[left] && !cut[right];
    let mut at = 0;
    while at < chars.len() {
        let len = (at..chars.len()).take_while(|&at| is_content(at)).count();
        if len == 0 {
            at += 1;
            continue;
        }
        let mut words = pair_words(&chars[at..at + len]);
        for (offset, &c) in chars[at..at + len].iter().enumerate().filter(|(_, c)| len > 1 && is_han(**c)) {
            words[offset.min(len - 2)].parts.push(term_id(c.encode_utf8(&mut [0; 4])));
        }
        // Pairs with a common character, such as 目的.
        let pair = |left: usize| term_id(&chars[left..left + 2].iter().collect::<String>());
        if at > 0 && bridges(at - 1, at) {
            words[0].parts.push(pair(at - 1));
        }
        let last = at + len - 1;
        if bridges(last, last + 1)
            && let Some(word) = words.last_mut()
        {
            word.parts.push(pair(last));
        }
        words.into_iter().for_each(&mut *each);
        at += len;
    }
}

/// Calls `each` with the words of a run of Thai, Lao, Khmer or Myanmar characters: pairs, with triples as parts.
pub(super) fn indochina(run: &str, each: &mut dyn FnMut(Word)) {
    let chars: Vec<char> = run.chars().collect();
    let mut cut = vec![false; chars.len()];
    for word in &*INDOCHINA_WORDS {
        cut_out(&chars, &word.chars().collect::<Vec<_>>(), &mut cut);
    }
    let mut at = 0;
    while at < chars.len() {
        let len = cut[at..].iter().take_while(|cut| !**cut).count();
        let kept = &chars[at..at + len];
        if len > 0 {
            let mut words = pair_words(kept);
            for (word, triple) in words.iter_mut().zip(kept.windows(3)) {
                word.parts.push(term_id(&triple.iter().collect::<String>()));
            }
            words.into_iter().for_each(&mut *each);
        }
        at += len.max(1);
    }
}

/// The overlapping pairs of characters; a single character is a word.
fn pair_words(chars: &[char]) -> Vec<Word> {
    chars.windows(chars.len().min(2)).map(|pair| Word::new(&pair.iter().collect::<String>())).collect()
}

/// Marks each place of a word, unless a part of the place is marked already.
fn cut_out(chars: &[char], word: &[char], cut: &mut [bool]) {
    for at in 0..(chars.len() + 1).saturating_sub(word.len()) {
        let place = at..at + word.len();
        if chars[place.clone()] == *word && !cut[place.clone()].contains(&true) {
            cut[place].fill(true);
        }
    }
}

/// Marks the function words at the end of a run of hiragana, and, if a word stands before the run, at its beginning.
fn cut_kana(chars: &[char], run: Range<usize>, cut: &mut [bool]) {
    let is_word = |place: Range<usize>| KANA_WORDS.contains(chars[place].iter().collect::<String>().as_str());
    let Range { mut start, mut end } = run;
    if start > 0 {
        let longest = |start: usize| end.min(start + *LONGEST_KANA);
        while let Some(to) = (start + 1..=longest(start)).rev().find(|&to| is_word(start..to)) {
            cut[start..to].fill(true);
            start = to;
        }
    }
    let longest = |end: usize| start.max(end.saturating_sub(*LONGEST_KANA));
    while let Some(from) = (longest(end)..end).find(|&from| is_word(from..end)) {
        cut[from..end].fill(true);
        end = from;
    }
}

fn is_hiragana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{309f}')
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
