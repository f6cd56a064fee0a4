"""Lets `python -m holdfast` do what `holdfast` does."""

from holdfast.cli import main

if __name__ == "__main__":
    main()
