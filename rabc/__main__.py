"""`python -m rabc`: the console command `rabc`."""

from rabc.commands.entry import main

if __name__ == "__main__":
    main()
