"""Reward-aligned behavior cloning for SO-100 and SO-101 arms.

    demonstrations -> scores -> progress -> weights -> training -> rollouts -> comparison -> the robot

A room for each step of that way, and each imports only rooms below it. From the ground up: `system`,
`statistics`, `config`, `pages`, `sim`, `datasets`, `scoring`, `weighting`, `diagnosis`, `policies`, `export`,
`rollouts`, `training`, `policy_check` and `robot`, `pipeline`, `comparison`, `benchmarks`, `commands`. Every
room says at its door what it is for.
"""
