//! The words of questions in other languages than English.

/// What follows a statement and asks for its confirmation, or asks back: "…, nicht wahr?", "…, и ты?". Phrases are separated by
/// semicolons.
pub(super) const TAGS: &[&str] = &[
    // English; `question.rs` knows the others
    "what about you; how about you; and you; and yours; what about yours; or not; or what; or am i wrong; am i wrong; isn't that so; \
     got it; get it; you hear; understand; understood; make sense; makes sense; what do you think; what do you say; can you imagine; \
     who knew; why not; fair; deal; isn't that right; don't you know; you remember; do you remember; you see; ya know; ain't that so",
    // German, Dutch
    "oder; oder nicht; oder etwa nicht; nicht; nicht wahr; gell; gelle; ne; nö; stimmt's; stimmts; richtig; weißt du; weißt du noch; \
     weisst du; wisst ihr; ja; okay; verstehst du; erinnerst du dich; und du; und dir; und ihr; und sie; woll; wa",
    "toch; hè; hé; niet; nietwaar; niet waar; ja; weet je; weet je wel; weet je nog; oké; of niet; klopt; klopt dat; snap je; en jij; en u",
    // French
    "non; n'est-ce pas; hein; pas vrai; d'accord; tu sais; vous savez; tu vois; tu te souviens; c'est ça; vrai; oui; pas; n'est-il pas; \
     et toi; et vous; tu te rappelles; ok; n'est ce pas",
    // Spanish, Portuguese, Italian, Catalan, Romanian
    "verdad; no; cierto; vale; eh; sabes; lo sabes; sí; si; recuerdas; lo recuerdas; te acuerdas; a que sí; a que no; no es así; \
     no es verdad; no es cierto; no crees; entiendes; ves; viste; correcto; ok; no te parece; o no; verdad que sí; y tú; y tu; y usted; \
     y vos; y ustedes; no cierto; o sea",
    "né; não é; não; certo; verdade; sabe; sabes; sabias; viu; tá; lembra; lembras; lembra-se; não é verdade; pois não; sim; está bem; \
     entende; percebes; não acha; não achas; beleza; e você; e tu; e vocês; não é mesmo; né não; correto; está certo",
    "vero; no; giusto; non è vero; sai; lo sai; ricordi; ti ricordi; capito; va bene; eh; nevvero; non credi; sì; capisci; non è così; \
     è vero; e tu; e lei; e voi; o no; ricordate",
    "oi; no; veritat; saps; oi que sí; eh; d'acord; i tu; ho recordes",
    "nu; nu-i așa; nu i așa; nu e așa; nu este așa; așa-i; așa e; da; corect; știi; adevărat; ții minte; îți amintești; și tu; nu-i aşa",
    // Swedish, Norwegian, Danish, Icelandic, Finnish, Estonian
    "eller hur; inte sant; visst; vet du; okej; minns du; inte; eller; och du; va; stämmer det; du vet",
    "ikke sant; sant; vet du; ikke; husker du; eller; og du; da; ikke sandt; ikke også; vel; ved du; ik; ik også; ikk; ikke sandt",
    "er það ekki; ekki satt; manstu; veistu; er það; en þú",
    "eikö; eikö niin; vai mitä; eikö totta; muistatko; tiedätkö; eiks; eiks niin; niinkö; okei; eikö vain; entä sinä; entä te; vai; tiedäthän",
    "eks; eks ole; kas pole; jah; mäletad; tead; aga sina",
    // Polish, Czech, Slovak, Slovenian, Croatian, Serbian, Bulgarian, Macedonian
    "prawda; nie; nieprawdaż; nie prawda; czyż nie; tak; co nie; no nie; wiesz; wiecie; pamiętasz; zgadza się; dobrze; rozumiesz; \
     prawda że; a ty; a pan; a pani; co; nie sądzisz; jasne; tak czy nie",
    "že; že jo; že ano; že ne; viď; viďte; ne; pravda; víš; pamatuješ; pamatuješ si; jo; není to tak; chápeš; ano; a ty; a co ty; a vy; není-liž pravda",
    "však; však áno; nie; vieš; pamätáš; pamätáš sa; že áno; áno; no nie",
    "kajne; a ne; ali ne; ne; veš; mar ne; se spomniš; in ti; prav; drži",
    "zar ne; je li; je li tako; jel; jel tako; jelda; je l da; znaš; sjećaš se; sećaš se; ne; da; tačno; točno; a ti; je l tako; jel da",
    "зар не; је ли; је ли тако; јел; јел да; знаш; сећаш се; да; тачно; а ти; не",
    "нали; нали така; така ли; така; знаеш; помниш; да; разбираш; а ти; не; не е ли така; нели; вярно; вярно ли е; сещаш се",
    // Russian, Ukrainian, Belarusian
    "так; да; правда; верно; правильно; не так ли; не правда ли; ведь так; знаешь; знаете; помнишь; помните; не; нет; ага; понимаешь; \
     понимаете; разве нет; разве не так; ладно; хорошо; а; а ты; а вы; а у тебя; а у вас; и ты; правда же; да ведь; ведь; ок; ясно; верно ведь; \
     правда ведь; слышишь; угадал",
    "так; правда; вірно; правильно; чи не так; хіба не так; еге ж; знаєш; знаєте; пам'ятаєш; пам'ятаєте; хіба ні; ні; розумієш; а ти; а ви; ага; \
     чи ні; так же; правда ж; добре; гаразд",
    "так; праўда; ці не так; ведаеш; памятаеш; а ты",
    // Hungarian, Turkish, Azerbaijani, Kazakh, Greek, Albanian, Lithuanian, Latvian
    "ugye; nem; igaz; igaz-e; tudod; emlékszel; nem igaz; ugye nem; így van; jó; oké; érted; nemde; nem így van; és te; és ti; ugye emlékszel",
    "değil mi; öyle değil mi; di mi; dimi; de mi; tamam mı; biliyor musun; biliyorsun; hatırlıyor musun; hatırladın mı; doğru mu; doğru; tamam; \
     anladın mı; ha; ya sen; ya siz; peki ya sen; sen; yok mu; öyle mi",
    "elə deyil; elə deyilmi; düzdür; düzdürmü; bilirsən; yadındadır; düz deyil; bəs sən; hə",
    "солай ма; солай емес пе; дұрыс па; білесің бе; есіңде ме; иә",
    "έτσι; έτσι δεν είναι; δεν είναι έτσι; σωστά; ξέρεις; θυμάσαι; εντάξει; ε; ναι; όχι; εσύ; κι εσύ; κατάλαβες",
    "apo jo; apo; po; jo; e di; të kujtohet; ar ne; ar ne taip; tiesa; taip; žinai; prisimeni; o tu; vai ne; vai zini; vai atceries; ja; jā; un tu",
    // Arabic, Hebrew, Persian, Urdu
    "أليس كذلك; اليس كذلك; صح; صحيح; تعرف; تعلم; تتذكر; أتتذكر; هل تتذكر; مش كده; ها; فاهم; موافق; أليس صحيحا; نعم; لا; وأنت; وانت; أتعلم; أتعرف; طيب",
    "נכון; לא; אתה יודע; את יודעת; זוכר; זוכרת; אתה זוכר; את זוכרת; לא כך; אה; בסדר; הבנת; ואתה; ואת; כן; לא נכון; צודק",
    "مگه نه; مگر نه; درسته; درست; نه; می‌دونی; می‌دانی; میدونی; یادته; یادت هست; آره; اینطور نیست; این طور نیست; تو چی; و تو; باشه",
    "ہے نا; ہے ناں; نا; ٹھیک; ٹھیک ہے; یاد ہے; پتا ہے; جانتے ہو; صحیح; اور تم; درست",
    // Hindi, Marathi, Nepali, Bengali, Tamil, Telugu, Kannada, Malayalam, Gujarati, Punjabi
    "है ना; है न; हैं ना; हैं न; ना; न; सही; सही है; ठीक है; ठीक; याद है; पता है; जानते हो; समझे; क्यों; और तुम; और आप; नहीं; सही ना; मालूम है",
    "बरोबर; बरोबर ना; हो ना; आठवतंय; आठवते; माहीत आहे; होइन; होइन र; हैन; हैन र; थाहा छ; याद छ; ठीक छ",
    "তাই না; তাইনা; না; ঠিক; জানো; জানেন; মনে আছে; তাই নয় কি; ঠিক আছে; ঠিক না; আর তুমি; আর আপনি; তাই তো",
    "இல்லையா; சரியா; சரி; தெரியுமா; அல்லவா; சரிதானே; ஞாபகம் இருக்கா; நினைவிருக்கிறதா; நீங்கள்; நீ; தானே",
    "కదా; కాదా; తెలుసా; గుర్తుందా; సరేనా; అవునా; మీరు; నువ్వు; అలాగే కదా",
    "ಅಲ್ಲವೇ; ಅಲ್ವಾ; ಸರಿನಾ; ಗೊತ್ತಾ; ನೆನಪಿದೆಯಾ; അല്ലേ; ശരിയല്ലേ; അറിയാമോ; ഓർമ്മയുണ്ടോ; ശരി",
    "બરાબર; ખરું ને; ને; નહીં; યાદ છે; ખબર છે; સાચું ને; ਹੈ ਨਾ; ਠੀਕ ਹੈ; ਯਾਦ ਹੈ; ਪਤਾ ਹੈ; ਨਾ",
    // Indonesian, Malay, Vietnamese, Tagalog, Swahili
    "kan; bukan; ya; ya kan; iya kan; benar; benar kan; tahu kan; tau kan; tahu tidak; tau gak; ingat; ingat kan; betul; betul kan; betul tak; \
     bukankah begitu; oke; begitu kan; kamu; dan kamu; kalau kamu; bukan begitu; masih ingat; tak",
    "phải không; đúng không; nhỉ; nhé; biết không; bạn biết không; bạn nhớ không; nhớ không; nhớ chứ; đúng chứ; không phải sao; được không; chứ; hả; \
     phải không nào; đúng vậy không; còn bạn; còn bạn thì sao; thế còn bạn; phải chứ",
    "di ba; diba; hindi ba; tama ba; tama; alam mo; alam mo ba; naaalala mo; naaalala mo ba; ano; ikaw; sivyo; siyo; sawa; unajua; unakumbuka; au sio; \
     ndiyo; kweli; na wewe; si ndiyo; au siyo",
    // Thai, Chinese, Japanese, Korean
    "ใช่ไหม; ใช่มั้ย; ใช่หรือเปล่า; ใช่ป่ะ; จำได้ไหม; รู้ไหม; นะ; เนอะ; ถูกไหม; ถูกต้องไหม; แล้วคุณล่ะ; ไม่ใช่เหรอ",
    "对吧; 对吗; 对不对; 对么; 对嘛; 是吧; 是吗; 是不是; 不是吗; 不是么; 是么; 好吗; 好吧; 好不好; 你知道吗; 你知道吧; 知道吗; 知道吧; 记得吗; 你记得吗; 还记得吗; \
     你还记得吗; 懂吗; 明白吗; 没错吧; 不对吗; 行吗; 可以吗; 你呢; 您呢; 你们呢; 吧; 嗯; 真的吗; 是这样吧; 不是这样吗; 你说呢; 你说是不是; 有没有",
    "對吧; 對嗎; 對不對; 是嗎; 不是嗎; 好嗎; 你知道嗎; 知道嗎; 記得嗎; 你記得嗎; 還記得嗎; 你還記得嗎; 懂嗎; 明白嗎; 沒錯吧; 不對嗎; 可以嗎; 你們呢; 是不是啊",
    "でしょ; でしょう; でしょうか; だよね; だよな; ですよね; よね; よな; ね; な; 覚えてる; 覚えてますか; 覚えていますか; 覚えている; 知ってる; 知ってますか; \
     知っていますか; 知ってた; 知っている; そうでしょ; そうでしょう; そうですよね; そうだよね; わかる; 分かる; いいよね; いい; 違う; ちがう; 違いますか; じゃない; \
     じゃないですか; ではないですか; じゃん; って知ってる; って知ってた; って覚えてる; あなたは; 君は; そちらは; 合ってる; 合ってますか; 正しいですか; ご存じですか",
    "알지; 알죠; 알고 있지; 알고 있죠; 아시죠; 알아; 알아요; 알겠지; 맞지; 맞죠; 맞아; 맞아요; 맞나요; 맞지요; 그렇지; 그렇죠; 그렇지요; 그렇지 않아; \
     그렇지 않아요; 그치; 그죠; 기억나; 기억나요; 기억나세요; 기억하지; 기억해; 기억해요; 기억하시죠; 아니야; 아니에요; 안 그래; 안 그래요; 너는; 너는요; 넌; 당신은; 응",
];

/// Words with which people begin a statement about themselves. Where words are not separated, a word may begin with one.
pub(super) const OWN_WORDS: &[&str] = &[
    "ich wir mein meine meinen unser unsere ik wij mijn onze je nous mon ma mes notre nos yo nosotros nosotras mi mis nuestro \
     nuestra eu meu minha meus minhas nós nosso nossa io noi mio mia miei mie nostro nostra jo nosaltres meva meu",
    "jag jeg vi mitt mina vår våra vårt ég minn mín minä minun mulla meillä mina minul mój moja moje můj moj jestem jsem som",
    "я мы мой моя моё мое мои мне меня наш наша наше ми мій моє мої мене мені маю аз моят моята моето имам јас мој у \
     én nekem benim bizim mənim менің мен εγώ μου με",
    "أنا اسمي عندي لدي نحن אני שלי אנחנו לי میں میرا میری ہم मैं मेरा मेरी मेरे मुझे हम हमारा मी माझा माझी माझे म मेरो আমি আমার আমরা நான் என் \
     எனக்கு నేను నా నాకు ನಾನು ನನ್ನ ഞാൻ എന്റെ હું મારું મારી ਮੈਂ ਮੇਰਾ ਮੇਰੀ saya aku kami tôi mình ako mimi",
];

/// The same in languages without spaces between words, and in Korean, whose particles follow without a space.
pub(super) const OWN_BEGINNINGS: &[&str] = &[
    "我",
    "咱",
    "私",
    "僕",
    "俺",
    "わたし",
    "ぼく",
    "うち",
    "나는",
    "난",
    "내",
    "제",
    "저는",
    "저희",
    "우리",
    "ผม",
    "ฉัน",
    "ดิฉัน",
    "เรา",
];

/// Words with which a question or a sentence about the listener begins.
pub(super) const ASKING_WORDS: &[&str] = &[
    "was wer wem wen wo wann warum wieso wie welche welcher welches wessen wohin woher ist sind hast habt kannst könnt willst magst \
     möchtest du ihr wat wie waar wanneer waarom hoe welk welke kun jij jullie",
    "que quoi qui où quand pourquoi comment combien quel quelle tu vous qué quién quiénes dónde cuándo cómo cuál cuánto cuántos \
     tú usted vosotros ustedes eres tienes puedes quem onde quando como qual quanto você vocês és tens podes che chi dove come quale \
     perché sei hai puoi voi",
    "vad vem var när varför hur vilken är kan ni hva hvem hvor når hvorfor hvordan hvilken mitä kuka missä milloin miksi miten sinä \
     onko voitko kto co gdzie kiedy dlaczego czy który ty wy kdo kde kdy proč jestli prečo kaj kje zakaj",
    "кто что где когда почему зачем как какой какая какие сколько ли ты вы хто що де коли чому як який яка скільки чи ти ви кой какво \
     къде кога защо колко hol mikor miért hogyan milyen nerede kim neden nasıl hangi sen siz",
    "ποιος τι πού πότε γιατί πώς εσύ من ماذا أين متى لماذا كيف هل أنت מי מה איפה מתי למה איך האם אתה את क्या कौन कहाँ कब क्यों कैसे तुम आप \
     apa siapa kapan kenapa bagaimana kamu anda gì bạn",
];

/// The same in languages without spaces between words, and in Korean.
pub(super) const ASKING_BEGINNINGS: &[&str] = &[
    "你",
    "您",
    "谁",
    "誰",
    "什么",
    "什麼",
    "哪",
    "怎",
    "为什么",
    "為什麼",
    "几",
    "何",
    "どこ",
    "いつ",
    "なぜ",
    "どう",
    "あなた",
    "君",
    "누구",
    "뭐",
    "무엇",
    "어디",
    "언제",
    "왜",
    "어떻게",
    "너",
    "당신",
    "คุณ",
    "ใคร",
    "อะไร",
];

/// The words before a statement in a question that takes it as given: "Can you believe that …?".
pub(super) const OPENINGS: &[&str] = &[
    include_str!("openings.txt"),
    "wusstest du; wussten sie; habe ich dir erzählt; hab ich dir erzählt; kannst du glauben; wist je; kun je geloven; savais-tu; tu savais; \
     saviez-vous; est-ce que tu savais; je t'ai dit; sabías; sabía usted; puedes creer; te conté; te dije; te he dicho; te he contado; \
     você sabia; sabias; te contei; você acredita; sapevi; lo sapevi; ti ho detto; puoi credere",
    "visste du; vidste du; tiesitkö; wiedziałeś; wiedziałaś; věděl jsi; ты знал; ты знала; представляешь; ти знав; tudtad; biliyor muydun; \
     你敢相信; 你相信",
];

/// The same where only the words that join the statement, or its subject, distinguish it from a question: "Do you know that …?".
pub(super) const WEAK_OPENINGS: &[&str] = &[
    "do you know; do you remember; don't you remember; have you heard; did you hear; did you see; do you realise; do you realize; you know; \
     remember; guess what; weißt du; hast du gehört; erinnerst du dich; weet je; tu sais; te souviens-tu; tu te souviens; sabes; recuerdas; \
     lembra; lo sai; sai; ricordi; vet du; wiesz; víš; ты знаешь; знаешь; помнишь; ти знаєш; biliyor musun",
    "你知道; 您知道; 你还记得; 你记得; 你知不知道; 你還記得; 你記得",
];

/// Words that join a statement to its opening.
pub(super) const THAT: &[&str] =
    &["that dass daß dat que che că că att at että że że že да что што що че hogy ότι أن ki bahwa rằng"];
