"""The demonstration bank: what AIM aggregates of a demonstration, computed once and kept on a disk.

from train.bank import Bank, Banked

banked = Banked(aggregator, Bank("bank"))
hidden = banked.aggregate(turns)  # [n, D] each; a second call asks no model
"""

from train.bank.bank import Bank
from train.bank.banked import Aggregator, Banked
from train.bank.keys import key_of

__all__ = ["Aggregator", "Bank", "Banked", "key_of"]
