"""A real small platform in two regions, its faults and the observers that grade Holdfast.

Rule: nothing of the product is imported here but `holdfast.kernel`; Holdfast is
driven by its command line and HTTP as a customer would drive it. That is what
makes a passed run evidence: the sandbox can't reach into what it grades, and
no product room knows a name of it.

This file imports nothing, because every service process of the platform passes
through it and two cores carry them all.
"""
