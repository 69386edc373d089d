from rabc.commands.entry import run

if __name__ == "__main__":
    run("cache")
