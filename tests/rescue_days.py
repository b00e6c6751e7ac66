"""A site with a dump a day, for the tests of rescue."""


def days(site, *changes):
    """Make a dump a day, and between each two a change; the newest is of yesterday. Return the names, oldest first."""
    found = []
    for number, change in enumerate((*changes, "")):
        path = site.backup()
        found.append(site.aged(path, len(changes) + 1 - number).name)
        for one in (path, path.with_name(path.name + ".manifest.json")):
            one.unlink()
        if change:
            site.sql(change)
    return found


def history(site, *arguments, code=0):
    return site.json("history", *arguments, code=code)
