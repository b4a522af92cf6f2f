"""The MerchantAPI (source 004): a till's backend starts payments over HTTP and JSON, and terminals
fetch them. See README.md beside this file.
"""
