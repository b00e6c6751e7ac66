"""The sentences of the demonstration, in English and French."""

from __future__ import annotations

from korrigo_backup.core.language import Language

_ENGLISH = {
    "intro": """\
A school's site: exams in PostgreSQL, scanned papers as files, a web server.
It is backed up, wrecked and restored, by the commands that you would type.
Between the acts a witness, which has no code of korrigo-backup, reads all of it.""",
    "filling": "The site is filled meanwhile (the first time: 15 s)…",
    "site": "The site: {rows} rows in {tables} tables, {files} files, {megabytes} MB, at {address}",
    "backup": "Back up",
    "backup_why": """\
Database and files are saved as they were at one moment: a restore point. Each
is read back at once; a backup that cannot be read never gets its name.""",
    "plan": "Plan",
    "plan_why": """\
Hours later three marks have changed and a paper was handed in. Before you
restore, the plan names what you would lose by it, to the row and the file.""",
    "disaster": "Disaster",
    "disaster_why": """\
A bad migration drops a table, empties another and zeroes every mark; a script
deletes or spoils a tenth of the files.""",
    "disaster_seen": "The witness: {tables} of {of_tables} tables differ, {rows} rows and {files} files are lost.",
    "restore": "Restore",
    "restore_why": """\
The backup is loaded beside the site and compared with what was saved, while the
site runs. Only if all is equal is it swapped in, by a rename; the ruin is kept.""",
    "rollback": "Roll back",
    "rollback_why": """\
Was it the wrong backup? A rollback brings back the data of before, here the
ruin. To undo that as well returns the restored data: nothing was deleted.""",
    "report": "Keep this screen",
    "lost": "lost      {rows} rows, {tables} of {of_tables} tables and {files} of {of_files} files, lost or spoilt",
    "restored": "restored  {rows} rows and {files} files; visitors were without the site for {downtime} s",
    "proven": "proven    saved {before}, wrecked {ruin}, restored {restored}: {verdict}",
    "undone": "undone    the ruin again {undone}, then the restored data {again}: {verdict}",
    "seconds": "seconds   back up {backup}, plan {plan}, restore {restore}, roll back twice {rollback}",
    "identical": "IDENTICAL",
    "different": "DIFFERENT",
    "small": "The site is smaller than promised ({rows} rows, {octets} bytes).",
    "end": """\
{seconds} s in all. To click on it: make demo-web. Everything this made is in
{place}; remove it and nothing is left.""",
    "web_wait": "The site is being prepared (the first time: 20 s)…",
    "web": """\
The reference site is running, on this machine alone:
  site        {address}/
  backups     {address}/admin/korrigo_backup/backups/
  login       admin
  password    {password}
In another terminal, the command line of the same site:
  cd {home} && {tool} status
Ctrl-C ends it.""",
    "web_end": "Ended: nothing is left running.",
    "point": ".",
}

_FRENCH = {
    "intro": """\
Le site d'une école : examens dans PostgreSQL, copies numérisées, serveur web.
Il est sauvegardé, ravagé et restauré, par les commandes que vous taperiez.
Entre les actes, un témoin, sans code de korrigo-backup, relit tout.""",
    "filling": "Pendant ce temps, le site se remplit (la première fois : 15 s)…",
    "site": "Le site : {rows} lignes dans {tables} tables, {files} fichiers, {megabytes} Mo, à {address}",
    "backup": "Sauvegarder",
    "backup_why": """\
Base et fichiers sont enregistrés tels qu'à un même instant : un point de
restauration. Chacun est relu aussitôt ; sans relecture réussie, pas de nom.""",
    "plan": "Prévoir",
    "plan_why": """\
Des heures plus tard, trois notes ont changé et une copie est arrivée. Avant une
restauration, le plan nomme ce qu'elle vous ferait perdre, à la ligne près.""",
    "disaster": "Désastre",
    "disaster_why": """\
Une mauvaise migration supprime une table, en vide une autre et met toutes les
notes à zéro ; un script efface ou abîme un dixième des fichiers.""",
    "disaster_seen": (
        "Le témoin : {tables} tables sur {of_tables} abîmées, {rows} lignes et {files} fichiers sont perdus."
    ),
    "restore": "Restaurer",
    "restore_why": """\
La sauvegarde est chargée à côté du site et comparée à ce qui fut enregistré,
pendant que le site sert. Si tout est égal, un renommage l'échange.""",
    "rollback": "Revenir en arrière",
    "rollback_why": """\
Était-ce la mauvaise sauvegarde ? Un retour ramène les données d'avant, ici la
ruine. L'annuler aussi rend les données restaurées : rien n'a été supprimé.""",
    "report": "L'écran à garder",
    "lost": "perdu     {rows} lignes, {tables} tables sur {of_tables} et {files} fichiers sur {of_files}",
    "restored": "restauré  {rows} lignes et {files} fichiers ; site interrompu pendant {downtime} s",
    "proven": "prouvé    enregistré {before}, ravagé {ruin}, restauré {restored} : {verdict}",
    "undone": "annulé    la ruine à nouveau {undone}, puis les données restaurées {again} : {verdict}",
    "seconds": "secondes  sauvegarder {backup}, prévoir {plan}, restaurer {restore}, revenir deux fois {rollback}",
    "identical": "IDENTIQUE",
    "different": "DIFFÉRENT",
    "small": "Le site est plus petit que promis ({rows} lignes, {octets} octets).",
    "end": """\
{seconds} s en tout. Pour y cliquer : make demo-web. Tout est dans
{place} ; supprimez-le et il ne reste rien.""",
    "web_wait": "Le site se prépare (la première fois : 20 s)…",
    "web": """\
Le site de référence est en marche, sur cette machine seule :
  site            {address}/
  sauvegardes     {address}/admin/korrigo_backup/backups/
  identifiant     admin
  mot de passe    {password}
Dans un autre terminal, la ligne de commande du même site :
  cd {home} && {tool} status
Ctrl-C arrête tout.""",
    "web_end": "Arrêté : rien ne tourne plus.",
    "point": ",",
}

WORDS = {Language.ENGLISH: _ENGLISH, Language.FRENCH: _FRENCH}


class Words:
    """The sentences of one language, and numbers as its readers write them."""

    def __init__(self, language: Language) -> None:
        self._texts = WORDS[language]
        self._thousands = "\u202f" if language is Language.FRENCH else ","

    def __call__(self, name: str, **values: object) -> str:
        """Return a sentence with its values; whole numbers get signs between thousands, others one digit."""
        return self._texts[name].format(**{key: self._written(value) for key, value in values.items()})

    def _written(self, value: object) -> object:
        if isinstance(value, int):
            return f"{value:,}".replace(",", self._thousands)
        return f"{value:.1f}".replace(".", self._texts["point"]) if isinstance(value, float) else value
