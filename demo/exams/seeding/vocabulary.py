"""Words of a French school, with the letters that break careless code."""

FIRST_NAMES = (
    "Éloïse", "Zoé", "François", "Anaïs", "Noël", "Gwénaëlle", "Jérôme", "Maëlys", "Léa", "Théo", "Inès",
    "Mathéo", "Chloé", "Loïc", "Hélène", "Raphaël", "Aïcha", "Mehdi", "Cécile", "Jean-Baptiste", "Thảo",
    "Agnès", "Joël", "Solène", "Yann", "Bérénice", "Clément", "Fatoumata", "Régis", "Ludivine",
)  # fmt: skip

LAST_NAMES = (
    "Lefèvre", "D'Hérouville", "Müller", "Nguyễn", "Le Goff", "Œuvrard", "Béranger", "Castaño", "Delaunay",
    "Évrard", "Faÿ", "Güneş", "Hervé", "Íñiguez", "Jégou", "Kerléo", "L'Hôpital", "Maçon", "Noé", "O'Connor",
    "Pélissier", "Quéré", "Rivière", "Sévigné", "Thévenot", "Urvoy", "Vallée", "Weiß", "Yılmaz", "Zemčík",
    "Aubépart", "Brûlé", "Chênevert", "Diallo", "Échard", "Forêt", "Grégoire", "Huë", "Ibáñez", "Jaouën",
    "Lâchaise", "Mézières", "Nédélec", "Pâquier", "Renaud-Ségur", "Traoré",
)  # fmt: skip

SUBJECTS = (
    "Mathématiques", "Français", "Histoire-géographie", "Physique-chimie", "Philosophie", "SVT",
    "Langue vivante A : español", "NSI - bases de données",
)  # fmt: skip

CLASSES = ("2nde 4", "1re G2", "1re STMG", "Tle A", "Tle B", "Tle STI2D", "BTS SIO 1")

REMARKS = (
    "",
    "Très bien, raisonnement clair.",
    "Justification incomplète : où est l'hypothèse ?",
    "Attention à l'unité (m/s² et non m/s).",
    "Erreur de signe : -(a - b) = b - a",
    "Citation inexacte ; on attendait « Je pense, donc je suis ».",
    "À revoir :\n\t1. la définition\n\t2. l'exemple",
    "Hors sujet dès le 2ᵉ paragraphe…",
    "x ∈ ℝ \\ {0}, pas ℝ",
    "Bravo 👏🏽",
    "Orthographe : « événement », cœur, naïveté",
    "Le mot \"donc\" ne suffit pas; 'ergo' non plus.",
    "100 % juste, 0 $ de pénalité -- <b>sic</b> & fin",
    "Calcul posé mais non effectué.",
)
